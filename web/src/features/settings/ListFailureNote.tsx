import { Group, Text } from '@mantine/core';
import { IconAlertCircle } from '@tabler/icons-react';
import type { ListFailure } from '../../shared/protocol';

/** Why a provider's models are not listed, and where they were asked for. */
export function ListFailureNote({ failure }: { failure: ListFailure }) {
  const detail = /[.!?]$/.test(failure.detail) ? failure.detail : `${failure.detail}.`;
  return (
    <Group gap={6} wrap="nowrap" align="flex-start">
      <IconAlertCircle size={18} color="var(--mantine-color-error)" style={{ flex: 'none', marginTop: 2 }} />
      <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
        Its models cannot be listed. {detail}
        {failure.asked && ` Asked: ${failure.asked}`}
      </Text>
    </Group>
  );
}
