import { Text } from '@mantine/core';
import { useEffect } from 'react';
import { useSelector } from 'react-redux';
import { bytes } from './format';
import { useAppDispatch, useSharedSelector } from './hooks';
import { loadLimits } from './limitsSlice';

/** The part of the quota from which on a person is told. */
const NEARLY = 0.9;

/** How long the list of chats is quiet before the server is asked anew. */
const LOOK_AFTER_MS = 5000;

/** Says that the room for chats and files is nearly used up, before it is. */
export function StorageNote() {
  const dispatch = useAppDispatch();
  const storage = useSharedSelector((state) => state.limits.known?.storage);
  const version = useSelector((state: { sessions: { version: number } }) => state.sessions.version); // rises with each question, and what is deleted
  const known = storage !== undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another version is the reason to look again
  useEffect(() => {
    if (!known) return;
    const look = setTimeout(() => dispatch(loadLimits()), LOOK_AFTER_MS);
    return () => clearTimeout(look);
  }, [dispatch, known, version]);
  if (!storage?.quota || storage.used < NEARLY * storage.quota) return null;
  return (
    <Text size="sm" role="status">
      You have used {bytes(storage.used)} of {bytes(storage.quota)}. Delete chats or files to make room.
    </Text>
  );
}
