import { ActionIcon, Button, Group, Menu, NavLink, Stack, Text, TextInput } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconDots, IconPlus, IconSearch } from '@tabler/icons-react';
import { memo, useCallback, useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import { composing } from '../../shared/composing';
import { useAttempt } from '../../shared/hooks';
import { isolated } from '../../shared/isolated';
import { selectOpenSession } from '../../shared/placeSlice';
import type { Session } from '../../shared/protocol';
import { searchForm } from '../../shared/searchForm';
import { Confirm } from '../../shared/ui/Confirm';
import { useSessionsSelector } from './hooks';
import styles from './Sidebar.module.css';
import { deleteSession, selectSessions, updateSession } from './sessionsSlice';

function groupOf(s: Session): string {
  const day = 86_400_000;
  const today = new Date().setHours(0, 0, 0, 0);
  const at = new Date(s.updated_at).getTime();
  if (at >= today) return 'Today';
  if (at >= today - day) return 'Yesterday';
  if (at >= today - 7 * day) return 'Last 7 days';
  if (at >= today - 30 * day) return 'Last 30 days';
  return new Date(at).toLocaleDateString(undefined, { month: 'long', year: 'numeric' });
}

const nameOf = (s: Session) => s.title || 'New chat';

const Row = memo(function Row(props: {
  session: Session;
  active: boolean;
  onOpen: (id: string) => void;
  onDelete: (session: Session) => void;
}) {
  const { session, active, onOpen, onDelete } = props;
  const attempt = useAttempt();
  const [title, setTitle] = useState<string>();
  const name = nameOf(session);
  const save = () => {
    const to = title?.trim();
    if (to && to !== session.title)
      attempt(updateSession({ id: session.id, patch: { title: to } }), `“${name}” was not renamed to “${to}”`);
    setTitle(undefined);
  };
  const open = useRef<HTMLButtonElement>(null);
  const leave = (how: () => void) => {
    flushSync(how);
    open.current?.focus();
  };
  if (title !== undefined) {
    return (
      <TextInput
        aria-label="Title"
        attributes={{ input: { dir: 'auto' } }}
        size="md"
        autoFocus
        value={title}
        onChange={(e) => setTitle(e.currentTarget.value)}
        onBlur={save}
        onKeyDown={(e) => {
          if (composing(e.nativeEvent)) return;
          if (e.key === 'Enter') {
            e.preventDefault(); // otherwise the key would press the button that gets the focus
            leave(save);
          }
          if (e.key !== 'Escape') return;
          e.stopPropagation(); // elsewhere Esc stops the answer
          leave(() => setTitle(undefined));
        }}
      />
    );
  }
  return (
    <Group gap={2} wrap="nowrap" data-session={session.id}>
      <NavLink
        ref={open}
        component="button"
        label={
          <span dir="auto" className={styles.name}>
            {name}
          </span>
        }
        active={active}
        aria-current={active ? 'page' : undefined}
        noWrap
        onClick={() => onOpen(session.id)}
        className={styles.open}
      />
      <Menu position="bottom-end" withinPortal>
        <Menu.Target>
          <ActionIcon className={styles.more} variant="subtle" color="gray" size={36} aria-label={`More for ${name}`}>
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item data-autofocus onClick={() => setTitle(session.title)}>
            Rename
          </Menu.Item>
          <Menu.Item c="error" onClick={() => onDelete(session)}>
            Delete
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
});

/** The user's chats, the last used first. */
export function Sidebar({
  onOpen,
  onNew,
  children,
}: {
  onOpen: (id: string) => void;
  onNew: () => void;
  children?: React.ReactNode;
}) {
  const sessions = useSessionsSelector(selectSessions);
  const current = useSessionsSelector(selectOpenSession);
  const attempt = useAttempt();
  const [toDelete, setToDelete] = useState<Session>(); // kept while the dialog fades out
  const [asking, { open, close }] = useDisclosure(false);
  const onDelete = useCallback(
    (session: Session) => {
      setToDelete(session);
      open();
    },
    [open],
  );
  const [query, setQuery] = useState('');
  const shown = sessions.filter((s) => searchForm(s.title).includes(searchForm(query)));
  const groups = Map.groupBy(shown, groupOf);
  // The menu that opened the dialog is closed and the row may be deleted, so the focus is moved by hand.
  const list = useRef<HTMLDivElement>(null);
  const fresh = useRef<HTMLButtonElement>(null);
  const focus = (s: Session | undefined, part: string) =>
    ((s && list.current?.querySelector<HTMLElement>(`[data-session="${s.id}"] ${part}`)) ?? fresh.current)?.focus();
  const cancel = () => {
    close();
    focus(toDelete, '[aria-haspopup]');
  };
  const remove = () => {
    if (!toDelete) return;
    const at = shown.findIndex((s) => s.id === toDelete.id);
    focus(shown[at + 1] ?? shown[at - 1], 'button');
    attempt(deleteSession(toDelete.id), `“${nameOf(toDelete)}” was not deleted`);
  };
  return (
    <Stack gap="xs" p="sm" className={styles.sidebar}>
      <Button ref={fresh} leftSection={<IconPlus size={18} />} variant="default" size="md" onClick={onNew}>
        New chat
      </Button>
      <TextInput
        aria-label="Search chats"
        attributes={{ input: { dir: 'auto' } }}
        placeholder="Search"
        size="md"
        leftSection={<IconSearch size={16} />}
        value={query}
        onChange={(e) => setQuery(e.currentTarget.value)}
      />
      <nav ref={list} className={styles.list} aria-label="Chats">
        <Text role="status" size="sm" c="dimmed" px="xs">
          {query && shown.length === 0 && 'No title has this in it.'}
        </Text>
        {[...groups].map(([group, items]) => (
          <Stack key={group} gap={2} mb="sm">
            <Text size="xs" c="dimmed" fw={600} px="xs" pt={4}>
              {group}
            </Text>
            {items.map((s) => (
              <Row key={s.id} session={s} active={s.id === current} onOpen={onOpen} onDelete={onDelete} />
            ))}
          </Stack>
        ))}
      </nav>
      {children}
      <Confirm
        opened={asking}
        title="Delete this chat?"
        text={`“${toDelete && isolated(nameOf(toDelete))}” and all its messages are deleted for good.`}
        action="Delete"
        returnFocus={false}
        onClose={cancel}
        onConfirm={remove}
      />
    </Stack>
  );
}
