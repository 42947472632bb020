import { ActionIcon, Group, Text } from '@mantine/core';
import { IconChevronLeft, IconChevronRight } from '@tabler/icons-react';
import { useContext } from 'react';
import { useAppDispatch } from '../../../shared/hooks';
import { useChatSelector } from '../hooks';
import { siblingsOf } from '../streaming/branches';
import { branchChosen } from '../streaming/chatSlice';
import { HoldPlace } from '../streaming/useFollowEnd';
import styles from './Siblings.module.css';

/** Goes through the versions of a message. */
export function Siblings({ id }: { id: string }) {
  const dispatch = useAppDispatch();
  const hold = useContext(HoldPlace);
  const siblings = useChatSelector((state) => siblingsOf(state.chat, id));
  if (siblings.length < 2) return null;
  const at = siblings.indexOf(id);
  const go = (to: number) => {
    if (!siblings[to]) return;
    hold();
    dispatch(branchChosen(siblings[to]));
  };
  // A button that is disabled outright would lose the focus.
  const step = (end: number) => ({ className: styles.step, 'aria-disabled': at === end });
  return (
    <Group gap={2} role="group" aria-label="Versions">
      <ActionIcon variant="subtle" color="gray" aria-label="Previous version" {...step(0)} onClick={() => go(at - 1)}>
        <IconChevronLeft size={16} />
      </ActionIcon>
      <Text size="sm">
        {at + 1}/{siblings.length}
      </Text>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label="Next version"
        {...step(siblings.length - 1)}
        onClick={() => go(at + 1)}
      >
        <IconChevronRight size={16} />
      </ActionIcon>
    </Group>
  );
}
