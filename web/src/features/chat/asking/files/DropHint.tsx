import { Text } from '@mantine/core';
import { IconFileUpload } from '@tabler/icons-react';
import { useChatSelector } from '../../hooks';
import styles from './Files.module.css';
import { limitsText } from './fileRules';
import { useDrop } from './useDrop';

/** Takes what is dropped, and says so while it is held over the page. */
export function DropHint({ onFiles }: { onFiles: (files: File[]) => void }) {
  const limits = useChatSelector((state) => state.limits.known);
  if (!useDrop(onFiles)) return null;
  return (
    <div className={styles.drop}>
      <IconFileUpload size={40} stroke={1.5} />
      <Text fw={600}>Drop files to attach them</Text>
      <Text size="sm">{limitsText(limits)}.</Text>
    </div>
  );
}
