import { ActionIcon, Textarea } from '@mantine/core';
import { IconArrowUp, IconPlayerStopFilled } from '@tabler/icons-react';
import { type RefObject, useCallback, useState } from 'react';
import { composing } from '../../../shared/composing';
import { useAppDispatch } from '../../../shared/hooks';
import { hasCoarsePointer } from '../../../shared/pointer';
import type { Attachment } from '../../../shared/protocol';
import styles from '../Chat.module.css';
import { useChatSelector } from '../hooks';
import { DraftNotes } from './DraftNotes';
import { draftText, keepDraft } from './drafts';
import { AttachButton } from './files/AttachButton';
import { DropHint } from './files/DropHint';
import { FileChips } from './files/FileChips';
import { attachFiles, type DraftFile, draftOf, filesSent, removeFile } from './files/filesSlice';

const none: DraftFile[] = [];

/** Where a question is written. The draft, with its files, is kept for each session until it is sent. */
export function Composer(props: {
  session: string | null;
  model: string;
  input: RefObject<HTMLTextAreaElement | null>;
  streaming: boolean;
  onSend: (text: string, files: Attachment[]) => void;
  onStop: () => void;
}) {
  const { session, model, input, streaming, onSend, onStop } = props;
  const dispatch = useAppDispatch();
  const draft = draftOf(session);
  const files = useChatSelector((state) => state.files.drafts[draft]) ?? none;
  const [text, setText] = useState(() => draftText(session));
  const attach = useCallback(
    (chosen: File[]) => {
      if (chosen.length > 0) dispatch(attachFiles({ draft, files: chosen }));
      input.current?.focus();
    },
    [dispatch, draft, input],
  );
  const change = (value: string) => {
    setText(value);
    keepDraft(session, value);
  };
  const something = text.trim() !== '' || files.length > 0;
  const ready = something && !streaming && files.every((f) => f.id && !f.error);
  const send = () => {
    if (!ready) return;
    const attachments = files.map(({ id = '', name, media_type, size }) => ({ id, name, media_type, size }));
    onSend(text, attachments);
    change('');
    dispatch(filesSent(draft));
  };
  return (
    <>
      <DropHint onFiles={attach} />
      <DraftNotes files={files} model={model} />
      <form
        className={styles.composer}
        onSubmit={(e) => {
          e.preventDefault();
          send();
        }}
      >
        <FileChips
          files={files}
          onRemove={(file) => {
            dispatch(removeFile({ draft, file }));
            input.current?.focus();
          }}
        />
        <div className={styles.line}>
          <AttachButton onFiles={attach} />
          <Textarea
            ref={input}
            aria-label="Message"
            attributes={{ input: { dir: 'auto' } }}
            enterKeyHint={hasCoarsePointer() ? 'enter' : 'send'}
            placeholder="Ask anything"
            autosize
            maxRows={10}
            size="md"
            variant="unstyled"
            flex={1}
            value={text}
            onChange={(e) => change(e.currentTarget.value)}
            onPaste={(e) => {
              const pasted = [...e.clipboardData.files];
              // A table's cells are copied as text and as a picture: then the text is wanted.
              if (pasted.length === 0 || e.clipboardData.types.includes('text/plain')) return;
              e.preventDefault();
              attach(pasted);
            }}
            onKeyDown={(e) => {
              if (e.key !== 'Enter' || composing(e.nativeEvent)) return;
              if (e.shiftKey || (hasCoarsePointer() && !e.ctrlKey && !e.metaKey)) return; // a new line
              e.preventDefault();
              send();
            }}
          />
          {streaming ? (
            <ActionIcon aria-label="Stop" size={44} radius="xl" variant="default" onClick={onStop}>
              <IconPlayerStopFilled size={18} />
            </ActionIcon>
          ) : (
            <ActionIcon aria-label="Send" size={44} radius="xl" variant="filled" type="submit" disabled={!ready}>
              <IconArrowUp size={20} />
            </ActionIcon>
          )}
        </div>
      </form>
    </>
  );
}
