import { ActionIcon, Alert, Button, Group, Text, Textarea } from '@mantine/core';
import {
  IconChevronLeft,
  IconChevronRight,
  IconCopy,
  IconPencil,
  IconPlayerPlay,
  IconRefresh,
} from '@tabler/icons-react';
import { lazy, memo, Suspense, useState } from 'react';
import { shallowEqual } from 'react-redux';
import { useAppDispatch, useAppSelector } from '../../app/hooks';
import styles from './Chat.module.css';
import { ask, branchChosen, childrenOf, selectMessage } from './chatSlice';

const Markdown = lazy(() => import('./Markdown').then((m) => ({ default: m.Markdown })));

/** The dots until the first token. */
export function Typing() {
  return (
    <div className={styles.typing} aria-hidden="true">
      <span />
      <span />
      <span />
    </div>
  );
}

function Siblings({ id }: { id: string }) {
  const dispatch = useAppDispatch();
  const siblings = useAppSelector((state) => {
    const m = selectMessage(state, id);
    return m ? childrenOf(state.chat, m.session_id, m.parent_id).map((s) => s.id) : [];
  }, shallowEqual);
  const entities = useAppSelector((state) => state.chat.messages.entities);
  if (siblings.length < 2) return null;
  const at = siblings.indexOf(id);
  const go = (to: number) => dispatch(branchChosen(entities[siblings[to]]));
  return (
    <Group gap={2} role="group" aria-label="Versions">
      <ActionIcon aria-label="Previous version" disabled={at === 0} onClick={() => go(at - 1)}>
        <IconChevronLeft size={16} />
      </ActionIcon>
      <Text size="sm">
        {at + 1}/{siblings.length}
      </Text>
      <ActionIcon aria-label="Next version" disabled={at === siblings.length - 1} onClick={() => go(at + 1)}>
        <IconChevronRight size={16} />
      </ActionIcon>
    </Group>
  );
}

const notes = {
  stopped: 'Stopped.',
  interrupted: 'Interrupted: the server went away. What was shown is kept.',
  error: '',
};

/** One message. It selects its own data, so that a token renders one row. */
export const MessageRow = memo(function MessageRow({ id, model }: { id: string; model: string }) {
  const dispatch = useAppDispatch();
  const message = useAppSelector((state) => selectMessage(state, id));
  const [draft, setDraft] = useState<string>();
  if (!message) return null;
  const { session_id: session, parent_id, role, content, reasoning, status, error } = message;
  const mine = role === 'user';
  const again = (parent: string | null) => dispatch(ask({ session, content: null, parent_id: parent, model }));
  const save = () => {
    if (!draft?.trim()) return;
    dispatch(ask({ session, content: draft, parent_id, model }));
    setDraft(undefined);
  };
  return (
    <article
      className={mine ? styles.question : styles.answer}
      aria-label={mine ? 'You' : 'Assistant'}
      aria-busy={status === 'streaming'}
    >
      {draft !== undefined ? (
        <div className={styles.edit}>
          <Textarea
            aria-label="Edit message"
            autosize
            maxRows={10}
            size="md"
            value={draft}
            onChange={(e) => setDraft(e.currentTarget.value)}
          />
          <Group gap="xs" mt="xs" justify="flex-end">
            <Button variant="default" size="xs" onClick={() => setDraft(undefined)}>
              Cancel
            </Button>
            <Button size="xs" onClick={save}>
              Send
            </Button>
          </Group>
        </div>
      ) : mine ? (
        <div className={styles.bubble}>{content}</div>
      ) : (
        <>
          {reasoning && (
            <details className={styles.reasoning} open={status === 'streaming' && !content}>
              <summary>{status === 'streaming' && !content ? 'Thinking…' : 'Thoughts'}</summary>
              <div>{reasoning}</div>
            </details>
          )}
          {content ? (
            <Suspense fallback={<div className={styles.plain}>{content}</div>}>
              <Markdown text={content} />
            </Suspense>
          ) : (
            status === 'streaming' && !reasoning && <Typing />
          )}
          {status === 'error' && (
            <Alert color="red" mt="sm" role="alert">
              {error?.detail ?? 'The answer failed.'}
            </Alert>
          )}
          {(status === 'stopped' || status === 'interrupted') && (
            <Text size="sm" c="dimmed" mt="xs">
              {notes[status]}
            </Text>
          )}
        </>
      )}
      {status !== 'streaming' && draft === undefined && (
        <Group gap={4} className={styles.actions} justify={mine ? 'flex-end' : 'flex-start'}>
          <Siblings id={id} />
          <ActionIcon aria-label="Copy" onClick={() => navigator.clipboard.writeText(content)}>
            <IconCopy size={16} />
          </ActionIcon>
          {mine && (
            <ActionIcon aria-label="Edit" onClick={() => setDraft(content)}>
              <IconPencil size={16} />
            </ActionIcon>
          )}
          {!mine && parent_id && (
            <ActionIcon aria-label="Regenerate" onClick={() => again(parent_id)}>
              <IconRefresh size={16} />
            </ActionIcon>
          )}
          {!mine && status !== 'complete' && content && (
            <Button
              size="compact-sm"
              variant="default"
              leftSection={<IconPlayerPlay size={14} />}
              onClick={() => again(id)}
            >
              Continue
            </Button>
          )}
          {!mine && status === 'error' && parent_id && (
            <Button size="compact-sm" variant="default" onClick={() => again(parent_id)}>
              Retry
            </Button>
          )}
        </Group>
      )}
    </article>
  );
});
