import { ActionIcon, Progress } from '@mantine/core';
import { IconAlertTriangle, IconFileText, IconPhoto, IconX } from '@tabler/icons-react';
import { bytes } from '../../../../shared/format';
import styles from './Files.module.css';
import { isImage } from './fileRules';
import type { DraftFile } from './filesSlice';
import { keptBlob } from './keptBlobs';
import { Thumbnail } from './Thumbnail';

/** What is attached to a draft, or to a message that is edited. */
export function FileChips({ files, onRemove }: { files: DraftFile[]; onRemove: (file: DraftFile) => void }) {
  if (files.length === 0) return null;
  return (
    <ul className={styles.chips} aria-label="Files to send">
      {files.map((f) => (
        <li key={f.key} className={styles.chip} data-failed={f.error !== '' || undefined}>
          {f.error ? (
            <IconAlertTriangle size={20} />
          ) : isImage(f) && f.preparing ? (
            <span className={styles.thumbnail}>
              <IconPhoto size={22} />
            </span>
          ) : isImage(f) ? (
            <Thumbnail id={f.id && !keptBlob(f.key) ? f.id : f.key} />
          ) : (
            <IconFileText size={20} />
          )}
          <span className={styles.label}>
            <span className={styles.name} title={f.name}>
              {f.name}
            </span>
            {!f.error && (
              <span role="status" className={styles.size}>
                {f.note}
              </span>
            )}
            {f.error ? (
              <span role="alert" className={styles.error}>
                {f.error}
              </span>
            ) : f.id ? (
              !f.note && <span className={styles.size}>{bytes(f.size)}</span>
            ) : (
              <Progress
                value={f.progress * 100}
                size="sm"
                aria-label={`${f.preparing ? 'Preparing' : 'Uploading'} ${f.name}`}
              />
            )}
          </span>
          <ActionIcon
            variant="subtle"
            color="gray"
            size={32}
            aria-label={`Remove ${f.name}`}
            onClick={() => onRemove(f)}
          >
            <IconX size={16} />
          </ActionIcon>
        </li>
      ))}
    </ul>
  );
}
