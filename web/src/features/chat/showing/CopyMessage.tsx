import { ActionIcon, VisuallyHidden } from '@mantine/core';
import { IconCheck, IconCopy, IconX } from '@tabler/icons-react';
import { useCopy } from '../../../shared/useCopy';

const icons = { '': IconCopy, Copied: IconCheck, 'Not copied': IconX };

/** Copies a message as it was written. */
export function CopyMessage({ text }: { text: string }) {
  const { said, copy } = useCopy();
  const Icon = icons[said];
  return (
    <>
      <ActionIcon variant="subtle" color="gray" aria-label="Copy" onClick={() => copy(text)}>
        <Icon size={16} />
      </ActionIcon>
      <VisuallyHidden role="status">{said}</VisuallyHidden>
    </>
  );
}
