import {
  ActionIcon,
  Alert,
  AppShell,
  Badge,
  Burger,
  Button,
  Center,
  Group,
  Menu,
  Stack,
  Text,
  Title,
  useMantineColorScheme,
} from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconUser } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { useNavigate, useParams } from 'react-router';
import { logOut } from '../features/auth/authSlice';
import { ChatArea } from '../features/chat/ChatArea';
import { wentToOpened } from '../features/chat/chatSlice';
import { ModelPicker } from '../features/models/ModelPicker';
import { loadModels, modelChosen } from '../features/models/modelsSlice';
import { Sidebar } from '../features/sessions/Sidebar';
import { chooseModel, loadSessions, selectSession, sessionOpened } from '../features/sessions/sessionsSlice';
import type { Api } from '../shared/api';
import { useAppDispatch, useAppSelector } from './hooks';
import { useLive } from './useLive';

function Account() {
  const dispatch = useAppDispatch();
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
        <Menu.Label>Theme</Menu.Label>
        {(['light', 'dark', 'auto'] as const).map((scheme) => (
          <Menu.Item key={scheme} onClick={() => setColorScheme(scheme)} aria-current={colorScheme === scheme}>
            {{ light: 'Light', dark: 'Dark', auto: 'As the system' }[scheme]}
            {colorScheme === scheme && ' ✓'}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item onClick={() => dispatch(logOut())}>Log out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** Says that the connection is lost, once that has lasted. */
function Offline() {
  const online = useAppSelector((state) => state.chat.online);
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (online) return;
    const timer = setTimeout(() => setLate(true), 2000);
    return () => clearTimeout(timer);
  }, [online]);
  if (online || !late) return null;
  return (
    <Alert color="yellow" role="status" radius={0} py={6}>
      Reconnecting… What is being written goes on, and will be here.
    </Alert>
  );
}

export function ChatApp({ api }: { api: Api }) {
  const dispatch = useAppDispatch();
  const navigate = useNavigate();
  const { session: id = null } = useParams();
  const [menu, { toggle, close }] = useDisclosure(false);
  const session = useAppSelector((state) => selectSession(state, id));
  const chosen = useAppSelector((state) => state.models.chosen);
  const opened = useAppSelector((state) => state.chat.opened);
  const missing = useAppSelector((state) => id !== null && state.chat.missing[id] === true);
  const viewers = useAppSelector((state) => (id ? (state.chat.viewers[id] ?? 0) : 0));
  useLive(api, missing ? null : id);

  useEffect(() => {
    dispatch(loadSessions());
    dispatch(loadModels());
    const idle = setTimeout(() => import('../features/chat/Markdown'), 500); // the first answer never waits for it
    return () => clearTimeout(idle);
  }, [dispatch]);
  useEffect(() => {
    dispatch(sessionOpened(id));
  }, [dispatch, id]);
  useEffect(() => {
    if (!opened) return;
    navigate(`/c/${opened}`);
    dispatch(wentToOpened());
  }, [opened, navigate, dispatch]);
  useEffect(() => {
    document.title = session?.title ? `${session.title} · OmniChat` : 'OmniChat';
  }, [session?.title]);

  const go = (to: string) => {
    navigate(to);
    close();
  };
  const model = session?.model || chosen;
  return (
    <AppShell
      layout="alt"
      header={{ height: 56 }}
      navbar={{ width: 280, breakpoint: 'sm', collapsed: { mobile: !menu } }}
      styles={{ main: { height: '100dvh' } }}
    >
      <AppShell.Header withBorder={false}>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            <Burger opened={menu} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Chats" aria-expanded={menu} />
            <ModelPicker
              value={model}
              onChange={(m) => {
                dispatch(modelChosen(m));
                if (id) dispatch(chooseModel({ id, model: m }));
              }}
            />
          </Group>
          {viewers > 1 && (
            <Badge variant="light" color="gray" tt="none">
              {viewers} watching
            </Badge>
          )}
        </Group>
      </AppShell.Header>
      <AppShell.Navbar>
        <Group px="md" pt="sm" justify="space-between">
          <Title order={1} size="h4">
            OmniChat
          </Title>
          <ActionIcon hiddenFrom="sm" variant="subtle" color="gray" size={44} aria-label="Close" onClick={close}>
            ✕
          </ActionIcon>
        </Group>
        <Sidebar onOpen={(s) => go(`/c/${s}`)} onNew={() => go('/')}>
          <Account />
        </Sidebar>
      </AppShell.Navbar>
      <AppShell.Main>
        <Stack gap={0} h="100%">
          <Offline />
          {missing ? (
            <Center flex={1}>
              <Stack align="center">
                <Text>This chat was not found, or has been deleted.</Text>
                <Button onClick={() => go('/')}>New chat</Button>
              </Stack>
            </Center>
          ) : (
            <div style={{ flex: 1, minHeight: 0 }}>
              <ChatArea session={id} model={model} />
            </div>
          )}
        </Stack>
      </AppShell.Main>
    </AppShell>
  );
}
