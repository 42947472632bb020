import { Alert, Button, Group, Text } from '@mantine/core';
import { IconAlertCircle } from '@tabler/icons-react';
import { type ReactNode, useContext, useState } from 'react';
import { useNavigate } from 'react-router';
import { PickModel } from '../../../shared/pickModel';
import type { Failure } from '../../../shared/protocol';
import { explain, retryAt } from './failureWords';
import { RetryButton } from './RetryButton';

const FRESH_MS = 5000;

/** What went wrong, in plain words, and the ways out. Called out if it has just happened, not if it is history. */
export function FailureNote(props: {
  failure: Failure | null;
  /** When it failed; null: before the page came. */
  since: string | null;
  title?: string;
  onRetry?: (model?: string) => void;
  children?: ReactNode;
}) {
  const { failure, since, onRetry, children } = props;
  const pick = useContext(PickModel);
  const navigate = useNavigate();
  const [fresh] = useState(() => since !== null && Math.abs(Date.now() - Date.parse(since)) < FRESH_MS);
  const { title, text, ways, detail } = explain(failure);
  return (
    <Alert
      variant="outline"
      color="red"
      mt="sm"
      role="group"
      icon={<IconAlertCircle size={20} />}
      title={
        props.title && !title.startsWith(props.title)
          ? `${props.title}: ${title[0].toLowerCase()}${title.slice(1)}`
          : title
      }
    >
      <div role={fresh ? 'alert' : undefined}>
        {detail && (
          <Text size="sm">
            {detail[0].toUpperCase()}
            {detail.slice(1)}
            {/[.!?]$/.test(detail) ? '' : '.'}
          </Text>
        )}
        {text && <Text size="sm">{text}</Text>}
      </div>
      <Group gap="xs" mt="sm">
        {onRetry && ways.includes('retry') && <RetryButton at={retryAt(failure, since)} onClick={() => onRetry()} />}
        {onRetry && ways.includes('switch') && (
          <Button size="xs" variant="default" onClick={() => pick.open(onRetry)}>
            Switch model
          </Button>
        )}
        {ways.includes('settings') && (
          <Button size="xs" variant="default" onClick={() => navigate('/settings?tab=providers')}>
            Open settings
          </Button>
        )}
        {ways.includes('new') && (
          <Button size="xs" variant="default" onClick={() => navigate('/')}>
            New chat
          </Button>
        )}
        {children}
      </Group>
    </Alert>
  );
}
