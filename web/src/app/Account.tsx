import { Button, Menu, useMantineColorScheme } from '@mantine/core';
import { IconUser } from '@tabler/icons-react';
import { useNavigate } from 'react-router';
import { logOut } from '../shared/authSlice';
import { useAppDispatch } from '../shared/hooks';
import { useAppSelector } from './hooks';

/** The menu of the person who is logged in. */
export function Account() {
  const dispatch = useAppDispatch();
  const navigate = useNavigate();
  const user = useAppSelector((state) => state.auth.user);
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="top-start" width={220}>
      <Menu.Target>
        <Button variant="subtle" color="gray" justify="flex-start" size="md" leftSection={<IconUser size={18} />}>
          {user?.display_name}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item data-autofocus onClick={() => navigate('/settings')}>
          Settings
        </Menu.Item>
        <Menu.Item onClick={() => navigate('/settings?tab=usage')}>Usage</Menu.Item>
        <Menu.Divider role="separator" />
        {/* biome-ignore lint/a11y/useSemanticElements: in a menu, a group of its items */}
        <div role="group" aria-label="Theme">
          <Menu.Label aria-hidden>Theme</Menu.Label>
          {(['light', 'dark', 'auto'] as const).map((scheme) => (
            <Menu.Item key={scheme} onClick={() => setColorScheme(scheme)} aria-current={colorScheme === scheme}>
              {{ light: 'Light', dark: 'Dark', auto: 'As the system' }[scheme]}
              {colorScheme === scheme && ' ✓'}
            </Menu.Item>
          ))}
        </div>
        <Menu.Divider role="separator" />
        <Menu.Item onClick={() => dispatch(logOut())}>Log out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
