import { Button, Group, Textarea } from '@mantine/core';
import { useLayoutEffect, useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import { composing } from '../../../shared/composing';
import type { Attachment } from '../../../shared/protocol';
import styles from '../Chat.module.css';
import { type HeldMessage, textOf } from '../streaming/parts';
import { FileChips } from './files/FileChips';

/** Edits a question. Sending it makes a sibling, which keeps its files. */
export function EditMessage(props: {
  message: HeldMessage;
  onSend: (text: string, files: Attachment[]) => void;
  onCancel: () => void;
}) {
  const { message, onSend } = props;
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    place.current?.scrollIntoView({ block: 'nearest' });
  }, []);
  const cancel = () => {
    const row = place.current?.parentElement;
    flushSync(props.onCancel);
    row?.querySelector<HTMLElement>('[aria-label="Edit"]')?.focus();
  };
  const [text, setText] = useState(() => textOf(message.parts));
  const [files, setFiles] = useState(message.attachments);
  const chips = files.map((f) => ({ ...f, key: f.id, progress: 1, error: '' }));
  return (
    <div className={styles.edit} ref={place}>
      <FileChips files={chips} onRemove={(gone) => setFiles(files.filter((f) => f.id !== gone.id))} />
      <Textarea
        aria-label="Edit message"
        attributes={{ input: { dir: 'auto' } }}
        enterKeyHint="enter"
        autosize
        autoFocus
        maxRows={10}
        size="md"
        value={text}
        onChange={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key !== 'Escape' || composing(e.nativeEvent)) return;
          e.stopPropagation();
          cancel();
        }}
      />
      <Group gap="xs" mt="xs" justify="flex-end">
        <Button variant="default" size="xs" onClick={cancel}>
          Cancel
        </Button>
        <Button size="xs" disabled={!text.trim() && files.length === 0} onClick={() => onSend(text, files)}>
          Send
        </Button>
      </Group>
    </div>
  );
}
