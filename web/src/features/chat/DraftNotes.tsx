import { Button, Group, Text } from '@mantine/core';
import { useContext } from 'react';
import { useAppSelector } from '../../app/hooks';
import { PickModel } from '../../shared/pickModel';
import styles from './Chat.module.css';
import { isImage } from './files/check';
import type { DraftFile } from './files/filesSlice';

/** What stands between a draft with files and its being sent. */
export function DraftNotes({ files, model, hasText }: { files: DraftFile[]; model: string; hasText: boolean }) {
  const pick = useContext(PickModel);
  const models = useAppSelector((state) => state.models.items);
  const failed = files.some((f) => f.error);
  const uploading = files.some((f) => !f.error && !f.id);
  const chosen = models.find((m) => m.id === model);
  const blind = chosen?.vision === false && files.some((f) => !f.error && isImage(f));
  const seeing = models.find((m) => m.vision && m.provider === chosen?.provider) ?? models.find((m) => m.vision);
  const note = failed
    ? 'Remove what could not be attached, then send.'
    : blind || uploading || files.length === 0 || hasText
      ? ''
      : 'Write something to go with the files.';
  if (!note && !blind) return null;
  return (
    <Group className={styles.notes} gap="xs" role="status">
      {note && <Text size="sm">{note}</Text>}
      {blind && (
        <>
          <Text size="sm">{chosen.name} does not see images.</Text>
          {seeing && (
            <Button size="compact-sm" variant="light" onClick={() => pick.choose(seeing.id)}>
              Use {seeing.name}
            </Button>
          )}
          <Button size="compact-sm" variant="default" onClick={() => pick.open()}>
            Other model
          </Button>
        </>
      )}
    </Group>
  );
}
