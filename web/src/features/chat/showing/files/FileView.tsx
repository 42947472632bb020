import { Button, Center, Loader, Modal, Text } from '@mantine/core';
import { IconDownload } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { bytes } from '../../../../shared/format';
import type { Attachment } from '../../../../shared/protocol';
import styles from '../../asking/files/Files.module.css';
import { isImage } from '../../asking/files/fileRules';
import { useFile } from '../../asking/files/useFile';

const SHOWN = 200_000; // characters of a text

/** A file in full. */
export function FileView({ file, opened, onClose }: { file: Attachment; opened: boolean; onClose: () => void }) {
  const { blob, url, failed } = useFile(file.id, opened);
  const [text, setText] = useState<string>();
  const image = isImage(file);
  useEffect(() => {
    if (!blob || image) return;
    let gone = false;
    blob.text().then((all) => !gone && setText(all.length > SHOWN ? `${all.slice(0, SHOWN)}\n…` : all));
    return () => {
      gone = true;
    };
  }, [blob, image]);
  return (
    <Modal opened={opened} onClose={onClose} title={file.name} size="auto" centered>
      {failed ? (
        <Text role="alert">The file cannot be read. It may have been deleted.</Text>
      ) : !url || (!image && text === undefined) ? (
        <Center w={300} h={200}>
          <Loader />
        </Center>
      ) : image ? (
        <img className={styles.large} src={url} alt={file.name} />
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        <pre className={styles.text} tabIndex={0}>
          {text}
        </pre>
      )}
      {url && (
        <Button
          component="a"
          href={url}
          download={file.name}
          variant="default"
          mt="md"
          leftSection={<IconDownload size={16} />}
        >
          Download, {bytes(file.size)}
        </Button>
      )}
    </Modal>
  );
}
