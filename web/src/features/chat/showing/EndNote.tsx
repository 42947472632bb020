import { Button, Group, Text } from '@mantine/core';
import { IconRefresh } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { type HeldMessage, textOf } from '../streaming/parts';

/** What a person should know of how an answer ended; "" if it looks as it is. */
export function endOf(m: HeldMessage): string {
  if (m.status === 'stopped') return 'Stopped.';
  if (m.status === 'interrupted') return 'Interrupted: the server went away. What was shown is kept.';
  if (m.status !== 'complete') return '';
  const cut = m.finish_reason === 'length';
  const filtered = m.finish_reason === 'content_filter';
  const has = (type: string) => m.parts.some((p) => p.type === type);
  if (textOf(m.parts).trim()) {
    if (cut) return 'The answer was cut off: it reached the limit of its length.';
    return filtered ? 'The answer was cut off here: the provider’s filter stopped it.' : '';
  }
  if (filtered) return 'There is no answer: the provider’s filter stopped it. Put the question in other words.';
  if (cut && has('reasoning'))
    return 'There is no answer: the model was cut off while it was thinking. Try again with a higher limit or less thinking, both in the settings of this chat.';
  if (cut)
    return 'There is no answer: its limit was reached before the first word. Raise it in the settings of this chat.';
  if (has('call')) return '';
  return has('reasoning') ? 'The model thought, but said nothing.' : 'The model said nothing.';
}

/** Says how an answer ended, and offers the ways on. */
export function EndNote({
  message,
  onRetry,
  children,
}: {
  message: HeldMessage;
  onRetry?: () => void;
  children?: ReactNode;
}) {
  const text = endOf(message);
  if (!text) return null;
  const nothing = message.status === 'complete' && !textOf(message.parts).trim();
  return (
    <Group gap="xs" mt="xs" role="note">
      <Text size="sm" c="dimmed">
        {text}
      </Text>
      {nothing && onRetry && (
        <Button size="xs" variant="default" leftSection={<IconRefresh size={14} />} onClick={onRetry}>
          Try again
        </Button>
      )}
      {children}
    </Group>
  );
}
