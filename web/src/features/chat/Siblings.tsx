import { ActionIcon, Group, Text } from '@mantine/core';
import { IconChevronLeft, IconChevronRight } from '@tabler/icons-react';
import { shallowEqual } from 'react-redux';
import { useAppDispatch, useAppSelector } from '../../app/hooks';
import { childrenOf } from './branches';
import { branchChosen, selectMessage } from './chatSlice';

/** Goes through the versions of a message. */
export function Siblings({ id }: { id: string }) {
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
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label="Previous version"
        disabled={at === 0}
        onClick={() => go(at - 1)}
      >
        <IconChevronLeft size={16} />
      </ActionIcon>
      <Text size="sm">
        {at + 1}/{siblings.length}
      </Text>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label="Next version"
        disabled={at === siblings.length - 1}
        onClick={() => go(at + 1)}
      >
        <IconChevronRight size={16} />
      </ActionIcon>
    </Group>
  );
}
