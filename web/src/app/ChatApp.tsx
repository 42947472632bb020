import { ActionIcon, AppShell, Burger, Button, Center, Group, Stack, Text, Title, VisuallyHidden } from '@mantine/core';
import { useDisclosure, useMediaQuery } from '@mantine/hooks';
import { type KeyboardEvent, useCallback, useEffect, useRef } from 'react';
import { useLocation, useNavigate, useParams } from 'react-router';
import { ChatArea } from '../features/chat/ChatArea';
import { Sidebar } from '../features/sessions/Sidebar';
import { selectSession, updateSession } from '../features/sessions/sessionsSlice';
import { composing } from '../shared/composing';
import { useAppDispatch, useAttempt } from '../shared/hooks';
import { isolated } from '../shared/isolated';
import { modelChosen } from '../shared/modelsSlice';
import { PickModel } from '../shared/pickModel';
import { StorageNote } from '../shared/StorageNote';
import { Account } from './Account';
import styles from './ChatApp.module.css';
import { ChatHeader } from './ChatHeader';
import { useAppSelector } from './hooks';
import { Notice } from './Notice';
import { Offline } from './Offline';
import { useModelPicking } from './useModelPicking';

/** The list of chats and the open chat. */
export function ChatApp() {
  const dispatch = useAppDispatch();
  const attempt = useAttempt();
  const navigate = useNavigate();
  const { session: id = null } = useParams();
  const [menu, { toggle, close }] = useDisclosure(false);
  const session = useAppSelector((state) => selectSession(state, id));
  const chosen = useAppSelector((state) => state.models.chosen);
  const missing = useAppSelector((state) => id !== null && state.chat.missing[id] === true);
  const newChatSettings = useAppSelector((state) => state.sessions.newChatSettings);
  useEffect(() => {
    // The Markdown script is loaded early, so that the first answer does not wait for it.
    const idle = setTimeout(() => import('../features/chat/showing/markdown/Markdown'), 500);
    return () => clearTimeout(idle);
  }, []);
  const quiet = (useLocation().state as { quiet?: boolean } | null)?.quiet === true;
  useEffect(() => {
    document.title = session?.title ? `${isolated(session.title)} · OmniChat` : 'OmniChat';
    return () => {
      document.title = 'OmniChat'; // after a logout nobody else should read it
    };
  }, [session?.title]);

  // On a phone the list of chats either covers the page or is hidden.
  const wide = useMediaQuery('(min-width: 48em)', true, { getInitialValueInEffect: false });
  const covered = menu && !wide;
  const away = !menu && !wide;
  const opener = useRef<HTMLButtonElement>(null);
  const closer = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!covered) return;
    const back = opener.current;
    closer.current?.focus({ preventScroll: true });
    return () => back?.focus();
  }, [covered]);
  const onNavbarKey = (e: KeyboardEvent) => {
    // Keys that are pressed in a dialog arrive here, too.
    const own = e.target instanceof Node && e.currentTarget.contains(e.target);
    if (e.key !== 'Escape' || !covered || !own || composing(e.nativeEvent)) return;
    e.stopPropagation();
    close();
  };

  const go = useCallback(
    (to: string) => {
      navigate(to);
      close();
    },
    [navigate, close],
  );
  const open = useCallback((s: string) => go(`/c/${s}`), [go]);
  const model = session?.model || chosen;
  const choose = useCallback(
    (m: string) => {
      dispatch(modelChosen(m));
      if (id) attempt(updateSession({ id, patch: { model: m } }), 'The model of this chat was not changed');
    },
    [dispatch, attempt, id],
  );
  const { pick, ...picker } = useModelPicking(choose);
  return (
    <AppShell
      layout="alt"
      header={{ height: 56 }}
      navbar={{ width: 280, breakpoint: 'sm', collapsed: { mobile: !menu } }}
      classNames={{ main: styles.main }}
    >
      <AppShell.Header withBorder={false} inert={covered}>
        <ChatHeader session={id} model={model} {...picker}>
          <Burger
            ref={opener}
            opened={menu}
            onClick={toggle}
            hiddenFrom="sm"
            size="sm"
            w={44}
            h={44}
            p={11}
            aria-label="Chats"
            aria-expanded={menu}
          />
        </ChatHeader>
      </AppShell.Header>
      <AppShell.Navbar className={styles.navbar} inert={away} onKeyDown={onNavbarKey}>
        <Group px="md" pt="sm" justify="space-between" wrap="nowrap">
          <Title order={1} size="h4">
            OmniChat
          </Title>
          <ActionIcon
            ref={closer}
            hiddenFrom="sm"
            variant="subtle"
            color="gray"
            size={44}
            aria-label="Close"
            onClick={close}
          >
            ✕
          </ActionIcon>
        </Group>
        <Sidebar onOpen={open} onNew={() => go('/')}>
          <StorageNote />
          <Account />
        </Sidebar>
      </AppShell.Navbar>
      <Notice />
      <AppShell.Main inert={covered}>
        {away && <VisuallyHidden component="h1">OmniChat</VisuallyHidden>}
        <Stack gap={0} h="100%">
          <Offline />
          {missing ? (
            <Center flex={1} px="md">
              <Stack align="center">
                <Text ta="center">This chat was not found, or has been deleted.</Text>
                <Button onClick={() => go('/')}>New chat</Button>
              </Stack>
            </Center>
          ) : (
            <div style={{ flex: 1, minHeight: 0 }}>
              <PickModel value={pick}>
                <ChatArea session={id} model={model} settings={newChatSettings} quiet={quiet} />
              </PickModel>
            </div>
          )}
        </Stack>
      </AppShell.Main>
    </AppShell>
  );
}
