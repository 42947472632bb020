import { Text } from '@mantine/core';
import { bytes } from './format';
import { useSharedSelector } from './hooks';

/** The part of the quota from which on a person is told. */
const NEARLY = 0.9;

/** Says that the room for chats and files is nearly used up, before it is. */
export function StorageNote() {
  const storage = useSharedSelector((state) => state.limits.known?.storage);
  if (!storage?.quota || storage.used < NEARLY * storage.quota) return null;
  return (
    <Text size="sm" role="status">
      You have used {bytes(storage.used)} of {bytes(storage.quota)}. Delete chats or files to make room.
    </Text>
  );
}
