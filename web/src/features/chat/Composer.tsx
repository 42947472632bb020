import { ActionIcon, Textarea } from '@mantine/core';
import { IconArrowUp, IconPlayerStopFilled } from '@tabler/icons-react';
import { useEffect, useRef, useState } from 'react';
import styles from './Chat.module.css';

const draftKey = (session: string | null) => `omnichat-draft-${session ?? 'new'}`;

/** Where a question is written. The draft is kept for each session until it is sent. */
export function Composer(props: {
  session: string | null;
  streaming: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
}) {
  const { session, streaming, onSend, onStop } = props;
  const [text, setText] = useState(() => sessionStorage.getItem(draftKey(session)) ?? '');
  const input = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches) input.current?.focus();
  }, []);
  const change = (value: string) => {
    setText(value);
    if (value) sessionStorage.setItem(draftKey(session), value);
    else sessionStorage.removeItem(draftKey(session));
  };
  const send = () => {
    if (!text.trim() || streaming) return;
    onSend(text);
    change('');
  };
  return (
    <form
      className={styles.composer}
      onSubmit={(e) => {
        e.preventDefault();
        send();
      }}
    >
      <Textarea
        ref={input}
        aria-label="Message"
        placeholder="Ask anything"
        autosize
        maxRows={10}
        size="md"
        variant="unstyled"
        flex={1}
        value={text}
        onChange={(e) => change(e.currentTarget.value)}
        onKeyDown={(e) => {
          if (e.key === 'Escape' && streaming) onStop();
          if (e.key !== 'Enter' || e.shiftKey || e.nativeEvent.isComposing) return;
          e.preventDefault();
          send();
        }}
      />
      {streaming ? (
        <ActionIcon aria-label="Stop" size={44} radius="xl" variant="filled" color="dark" onClick={onStop}>
          <IconPlayerStopFilled size={18} />
        </ActionIcon>
      ) : (
        <ActionIcon aria-label="Send" size={44} radius="xl" variant="filled" type="submit" disabled={!text.trim()}>
          <IconArrowUp size={20} />
        </ActionIcon>
      )}
    </form>
  );
}
