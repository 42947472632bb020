import { Button, Group, Text } from '@mantine/core';
import { useContext } from 'react';
import { PickModel } from '../../../shared/pickModel';
import styles from '../Chat.module.css';
import { useChatSelector } from '../hooks';
import { isImage } from './files/fileRules';
import type { DraftFile } from './files/filesSlice';

/** Why a draft with files cannot be sent yet, and what to do about it. */
export function DraftNotes({ files, model }: { files: DraftFile[]; model: string }) {
  const pick = useContext(PickModel);
  const models = useChatSelector((state) => state.models.items);
  const failed = files.some((f) => f.error);
  const chosen = models.find((m) => m.id === model);
  const blind = chosen?.vision === false && files.some((f) => !f.error && isImage(f));
  const seeing = models.find((m) => m.vision && m.provider === chosen?.provider) ?? models.find((m) => m.vision);
  if (!failed && !blind) return null;
  return (
    <Group className={styles.notes} gap="xs" role="status">
      {failed && <Text size="sm">Remove what could not be attached, then send.</Text>}
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
