import { Button, Group, Modal, Text } from '@mantine/core';
import styles from './Confirm.module.css';

/** Asks before something is gone for good. */
export function Confirm(props: {
  opened: boolean;
  title: string;
  text: string;
  action: string;
  /** Whether the focus goes back to where it was; by default it does. */
  returnFocus?: boolean;
  onClose: () => void;
  onConfirm: () => void;
}) {
  const { opened, title, text, action, returnFocus, onClose, onConfirm } = props;
  return (
    <Modal opened={opened} onClose={onClose} title={title} centered returnFocus={returnFocus}>
      <Text size="sm" className={styles.text}>
        {text}
      </Text>
      <Group justify="flex-end" mt="md">
        <Button variant="default" size="md" onClick={onClose}>
          Cancel
        </Button>
        <Button
          color="red"
          size="md"
          onClick={() => {
            onClose();
            onConfirm();
          }}
        >
          {action}
        </Button>
      </Group>
    </Modal>
  );
}
