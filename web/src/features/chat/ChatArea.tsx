import { ActionIcon, Title, VisuallyHidden } from '@mantine/core';
import { IconArrowDown } from '@tabler/icons-react';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useAppDispatch, useAttempt } from '../../shared/hooks';
import { hasFinePointer } from '../../shared/pointer';
import type { SessionSettings } from '../../shared/protocol';
import { ask, stopAnswer } from './asking/ask';
import { Composer } from './asking/Composer';
import { draftText, keepDraft } from './asking/drafts';
import { draftOf, filesGivenBack } from './asking/files/filesSlice';
import { useEscape } from './asking/useEscape';
import styles from './Chat.module.css';
import { useChatSelector } from './hooks';
import { MessageRow } from './showing/MessageRow';
import { PendingRow } from './showing/PendingRow';
import { branchOf } from './streaming/branches';
import { pendingDropped, selectMessage, selectPending } from './streaming/chatSlice';
import type { Pending } from './streaming/pendingQuestion';
import { HoldPlace, useFollowEnd } from './streaming/useFollowEnd';

interface Props {
  session: string | null;
  model: string;
  /** What is set for the session that a question in a new chat opens. */
  settings: Partial<SessionSettings>;
  /** Whether the composer leaves the focus where it is. */
  quiet?: boolean;
}

/** The open session, or a new one. */
export function ChatArea({ session, model, settings, quiet = false }: Props) {
  const dispatch = useAppDispatch();
  const attempt = useAttempt();
  const ids = useChatSelector((state) => branchOf(state.chat, session));
  const loaded = useChatSelector((state) => !session || state.chat.versions[session] !== undefined);
  const pending = useChatSelector(selectPending).filter((p) => p.session === session);
  const last = ids.at(-1);
  const status = useChatSelector((state) => (last ? selectMessage(state, last)?.status : undefined));
  const sending = pending.find((p) => !p.failure);
  const running = status === 'streaming' ? last : sending?.answer_id;
  const { scroller, content, following, toEnd, hold } = useFollowEnd();

  // The button that sent or stopped disappears; the focus goes to where the person goes on.
  const input = useRef<HTMLTextAreaElement>(null);
  const goOn = useCallback(() => {
    if (hasFinePointer()) input.current?.focus();
    else if (document.activeElement !== input.current) scroller.current?.focus({ preventScroll: true });
  }, [scroller]);

  // A chat that is opened, and a question that is sent, are shown at their end.
  const asked = sending?.message_id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: it waits for the session
  useLayoutEffect(toEnd, [session, toEnd]);
  useLayoutEffect(() => {
    if (!asked) return;
    toEnd();
    goOn();
  }, [asked, toEnd, goOn]);

  const stop = useCallback(() => {
    if (!running) return;
    attempt(stopAnswer(running), 'The answer was not stopped');
    goOn();
  }, [attempt, running, goOn]);
  useEscape(stop);

  const [announced, setAnnounced] = useState('');
  const ran = useRef(running);
  useEffect(() => {
    if (ran.current === running) return;
    const finished = ran.current === last; // otherwise another chat is shown
    ran.current = running;
    setAnnounced(running ? 'Generating' : finished ? 'Answer finished' : '');
  }, [running, last]);

  // Each session has a composer of its own, but a new chat keeps its composer when it becomes a session.
  const opened = useChatSelector((state) => state.chat.opened);
  const [seat, setSeat] = useState({ session, n: 0 });
  if (seat.session !== session) {
    const born = seat.session === null && session === opened;
    setSeat({ session, n: born ? seat.n : seat.n + 1 });
  }

  // biome-ignore lint/correctness/useExhaustiveDependencies: each composer begins with the focus
  useEffect(() => {
    if (quiet && document.activeElement !== document.body) return;
    if (hasFinePointer()) input.current?.focus();
  }, [seat.n]);

  // A question that was not sent goes back into the composer, after what is written there by now.
  const edit = (p: Pending) => {
    keepDraft(session, [draftText(session), p.content].filter(Boolean).join('\n\n'));
    dispatch(filesGivenBack({ draft: draftOf(session), files: p.attachments ?? [] }));
    dispatch(pendingDropped(p.answer_id));
    setSeat({ session, n: seat.n + 1 });
  };

  return (
    <section className={styles.area} aria-label="Conversation">
      <div
        className={styles.scroller}
        data-following={following || undefined}
        ref={scroller}
        role="log"
        aria-live="off"
        aria-label="Messages"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        tabIndex={0}
      >
        <div className={styles.column} ref={content}>
          {loaded && ids.length === 0 && pending.length === 0 && (
            <Title order={2} className={styles.welcome}>
              What can I help with?
            </Title>
          )}
          <HoldPlace value={hold}>
            {ids.map((id, i) => (
              // The versions of a message share a row, so that its place, its size and the focus in it stay.
              <MessageRow key={ids[i - 1] ?? session} id={id} model={model} />
            ))}
          </HoldPlace>
          {pending.map((p) => (
            <PendingRow key={p.answer_id} pending={p} onEdit={edit} />
          ))}
        </div>
      </div>
      <div className={styles.below}>
        {!following && (
          <ActionIcon
            className={styles.latest}
            aria-label="Scroll to latest"
            size={40}
            radius="xl"
            variant="default"
            onClick={toEnd}
          >
            <IconArrowDown size={18} />
          </ActionIcon>
        )}
        <Composer
          key={seat.n}
          session={session}
          model={model}
          input={input}
          streaming={running !== undefined}
          onSend={(text, attachments) =>
            dispatch(
              ask({
                session,
                content: text,
                parent_id: loaded ? (last ?? null) : undefined,
                model,
                attachments,
                settings,
              }),
            )
          }
          onStop={stop}
        />
      </div>
      <VisuallyHidden role="status" aria-live="polite">
        {announced}
      </VisuallyHidden>
    </section>
  );
}
