import { ActionIcon, Button, Group } from '@mantine/core';
import { IconPlayerPlay, IconRefresh } from '@tabler/icons-react';
import { lazy, Suspense } from 'react';
import { useAppDispatch } from '../../../shared/hooks';
import type { Message } from '../../../shared/protocol';
import { ErrorBoundary } from '../../../shared/ui/ErrorBoundary';
import { ask } from '../asking/ask';
import styles from '../Chat.module.css';
import { CopyMessage } from './CopyMessage';
import { EndNote } from './EndNote';
import { FailureNote } from './FailureNote';
import { ModelAndUsage } from './ModelAndUsage';
import { Notices } from './Notices';
import { Reasoning } from './Reasoning';
import { Siblings } from './Siblings';
import { ToolCalls } from './ToolCalls';
import { Typing } from './Typing';

const Markdown = lazy(() => import('./markdown/Markdown').then((m) => ({ default: m.Markdown })));

/** When the thinking began: as this tab saw it, or about then. */
const thinkingSince = (m: Message) => m.thinking_since ?? Math.min(Date.now(), Date.parse(m.created_at));

/** What a model answered, as far as it has come. */
export function Answer({ message, model }: { message: Message; model: string }) {
  const dispatch = useAppDispatch();
  const { id, session_id: session, parent_id, content, reasoning, status } = message;
  const streaming = status === 'streaming';
  const again = (parent: string, other = model) =>
    dispatch(ask({ session, content: null, parent_id: parent, model: other }));
  const whole = status === 'complete' && message.finish_reason !== 'length';
  const brokeOff = !whole || message.finish_reason === 'content_filter';
  const goOn = !streaming && !whole && content !== '' && (
    <Button size="xs" variant="default" leftSection={<IconPlayerPlay size={14} />} onClick={() => again(id)}>
      Continue
    </Button>
  );
  return (
    <>
      {reasoning && (
        <Reasoning
          key={id}
          text={reasoning}
          thinking={streaming && !content}
          since={thinkingSince(message)}
          ms={message.thinking_ms}
        />
      )}
      {content ? (
        <ErrorBoundary
          key={id}
          fallback={
            <div className={styles.plain} dir="auto">
              {content}
            </div>
          }
          tryAgain={streaming}
        >
          <Suspense
            fallback={
              <div className={styles.plain} data-waiting>
                {content}
              </div>
            }
          >
            <Markdown text={content} growth={streaming ? 'growing' : brokeOff ? 'broken off' : 'whole'} />
          </Suspense>
        </ErrorBoundary>
      ) : (
        streaming && !reasoning && <Typing waitsFor={message.waits_for} />
      )}
      {message.tool_calls && <ToolCalls calls={message.tool_calls} />}
      {message.notices && <Notices notices={message.notices} />}
      {status === 'error' && (
        <FailureNote
          failure={message.error}
          since={message.finished_at}
          onRetry={parent_id ? (other) => again(parent_id, other) : undefined}
        >
          {goOn}
        </FailureNote>
      )}
      <EndNote message={message} onRetry={parent_id ? () => again(parent_id) : undefined}>
        {status === 'complete' && goOn}
      </EndNote>
      <Group gap={4} className={styles.foot}>
        <ModelAndUsage model={message.model} usage={message.usage} />
        {!streaming && (
          <Group gap={4} className={styles.actions}>
            <Siblings id={id} />
            <CopyMessage text={content} />
            {parent_id && (
              <ActionIcon variant="subtle" color="gray" aria-label="Regenerate" onClick={() => again(parent_id)}>
                <IconRefresh size={16} />
              </ActionIcon>
            )}
            {status !== 'error' && status !== 'complete' && goOn}
          </Group>
        )}
      </Group>
    </>
  );
}
