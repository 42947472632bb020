import { ActionIcon, Button, Group } from '@mantine/core';
import { IconPlayerPlay, IconRefresh } from '@tabler/icons-react';
import { useAppDispatch } from '../../../shared/hooks';
import { ask } from '../asking/ask';
import styles from '../Chat.module.css';
import { type HeldMessage, type HeldPart, textOf } from '../streaming/parts';
import { AnswerPart } from './AnswerPart';
import { CopyMessage } from './CopyMessage';
import { EndNote } from './EndNote';
import { FailureNote } from './FailureNote';
import { ModelAndUsage } from './ModelAndUsage';
import { Notices } from './Notices';
import { Siblings } from './Siblings';
import { hasEnded } from './ToolCall';
import { Typing } from './Typing';

/** A key of each part: a call's id, and of what else there is the how many-th of its kind it is. */
function keysOf(parts: HeldPart[]): string[] {
  const n = { text: 0, reasoning: 0 };
  return parts.map((p) => (p.type === 'call' ? `call ${p.call.id}` : `${p.type} ${n[p.type]++}`));
}

/** About when a part began: when the call before it ended, or with the answer. */
function beginning(m: HeldMessage, i: number): string {
  const before = m.parts[i - 1];
  return (before?.type === 'call' && before.call.ended_at) || m.created_at;
}

/** Whether the model has yet to begin, or to go on after a call. */
const pauses = (last: HeldPart | undefined) => !last || (last.type === 'call' && hasEnded(last.call));

/** What a model answered, as far as it has come. */
export function Answer({ message, model }: { message: HeldMessage; model: string }) {
  const dispatch = useAppDispatch();
  const { id, session_id: session, parent_id, parts, status } = message;
  const streaming = status === 'streaming';
  const keys = keysOf(parts);
  const again = (parent: string, other = model) =>
    dispatch(ask({ session, content: null, parent_id: parent, model: other }));
  const whole = status === 'complete' && message.finish_reason !== 'length';
  const brokeOff = !whole || message.finish_reason === 'content_filter';
  const growth = streaming ? 'growing' : brokeOff ? 'broken off' : 'whole';
  const text = streaming ? '' : textOf(parts);
  const goOn = text !== '' && !whole && (
    <Button size="xs" variant="default" leftSection={<IconPlayerPlay size={14} />} onClick={() => again(id)}>
      Continue
    </Button>
  );
  return (
    <>
      {parts.map((part, i) => (
        <AnswerPart
          key={keys[i]}
          part={part}
          growth={i < parts.length - 1 ? 'whole' : growth}
          streaming={streaming}
          since={beginning(message, i)}
        />
      ))}
      {streaming && pauses(parts.at(-1)) && <Typing waitsFor={parts.length === 0 ? message.waits_for : undefined} />}
      <Notices notices={message.notices} />
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
            <CopyMessage text={text} />
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
