import { VisuallyHidden } from '@mantine/core';
import { IconFileText } from '@tabler/icons-react';
import { useState } from 'react';
import { bytes } from '../../../../shared/format';
import type { Attachment } from '../../../../shared/protocol';
import styles from '../../asking/files/Files.module.css';
import { isImage } from '../../asking/files/fileRules';
import { Thumbnail } from '../../asking/files/Thumbnail';
import { FileView } from './FileView';

function SentFile({ file }: { file: Attachment }) {
  const [opened, setOpened] = useState(false);
  return (
    <li>
      <button
        type="button"
        className={isImage(file) ? styles.picture : styles.document}
        aria-label={isImage(file) ? `Open ${file.name}` : undefined}
        title={file.name}
        onClick={() => setOpened(true)}
      >
        {isImage(file) ? (
          <Thumbnail id={file.id} />
        ) : (
          <>
            <IconFileText size={20} />
            <VisuallyHidden>Open </VisuallyHidden>
            <span className={styles.name}>{file.name}</span>
            <span className={styles.size}>{bytes(file.size)}</span>
          </>
        )}
      </button>
      <FileView file={file} opened={opened} onClose={() => setOpened(false)} />
    </li>
  );
}

/** The files of a question, or of what a tool gave. */
export function SentFiles({ files }: { files: Attachment[] }) {
  if (files.length === 0) return null;
  return (
    <ul className={styles.sent} aria-label="Attached files">
      {files.map((f) => (
        <SentFile key={f.id} file={f} />
      ))}
    </ul>
  );
}
