import { ActionIcon, Alert, Container, Group, Tabs, Title } from '@mantine/core';
import { IconArrowLeft } from '@tabler/icons-react';
import { useEffect } from 'react';
import { useNavigate, useSearchParams } from 'react-router';
import { Defaults } from '../features/settings/Defaults';
import { Endpoints } from '../features/settings/Endpoints';
import { Prices } from '../features/settings/Prices';
import { Warnings } from '../features/settings/Warnings';
import { UsagePage } from '../features/usage/UsagePage';
import { selectOpenSession } from '../shared/placeSlice';
import { Screen } from '../shared/ui/Screen';
import { useAppSelector } from './hooks';
import { settingsTab, settingsTabs } from './settingsTabs';

/** The settings of a user and of the admin, and the usage. */
export function SettingsPage() {
  const navigate = useNavigate();
  const [params, setParams] = useSearchParams();
  const tab = settingsTab(params);
  const error = useAppSelector((state) => state.settings.error);
  const current = useAppSelector(selectOpenSession);
  useEffect(() => {
    document.title = 'Settings · OmniChat';
  }, []);
  return (
    <Screen>
      <Container size={900} px={0}>
        <Group gap="xs" mb="md">
          <ActionIcon
            variant="subtle"
            color="gray"
            size={44}
            aria-label="Back to the chat"
            onClick={() => navigate(current ? `/c/${current}` : '/')}
          >
            <IconArrowLeft size={20} />
          </ActionIcon>
          <Title order={1} size="h3">
            Settings
          </Title>
        </Group>
        <Warnings />
        {error && (
          <Alert color="red" role="alert" mb="md">
            {error}
          </Alert>
        )}
        <Tabs value={tab} onChange={(v) => setParams({ tab: v ?? 'defaults' })} keepMounted={false}>
          <Tabs.List mb="lg">
            {Object.entries(settingsTabs).map(([value, name]) => (
              <Tabs.Tab key={value} value={value} mih={44}>
                {name}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          <Tabs.Panel value="defaults">
            <Defaults />
          </Tabs.Panel>
          <Tabs.Panel value="providers">
            <Endpoints />
          </Tabs.Panel>
          <Tabs.Panel value="prices">
            <Prices />
          </Tabs.Panel>
          <Tabs.Panel value="usage">
            <UsagePage />
          </Tabs.Panel>
        </Tabs>
      </Container>
    </Screen>
  );
}
