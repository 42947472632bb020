import { Text } from '@mantine/core';
import styles from '../Chat.module.css';

/** The dots until the first token, and what that waits for. */
export function Typing({ waitsFor }: { waitsFor?: string }) {
  return (
    <>
      <div className={styles.typing} aria-hidden="true">
        <span />
        <span />
        <span />
      </div>
      {waitsFor && (
        <Text size="sm" c="dimmed" role="status">
          {waitsFor}
        </Text>
      )}
    </>
  );
}
