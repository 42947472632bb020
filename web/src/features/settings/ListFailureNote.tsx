import { Text } from '@mantine/core';
import type { ListFailure } from '../../shared/protocol';

/** Why a provider's models are not listed, and where they were asked for. */
export function ListFailureNote({ failure }: { failure: ListFailure }) {
  return (
    <Text size="sm" c="red" style={{ overflowWrap: 'anywhere' }}>
      Its models cannot be listed. {failure.detail}
      {failure.asked && ` Asked: ${failure.asked}`}
    </Text>
  );
}
