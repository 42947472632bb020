import { ActionIcon, Alert, Button, Group, Title, VisuallyHidden } from '@mantine/core';
import { IconArrowDown } from '@tabler/icons-react';
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { shallowEqual } from 'react-redux';
import { useAppDispatch, useAppSelector } from '../../app/hooks';
import styles from './Chat.module.css';
import { Composer } from './Composer';
import { ask, branchOf, pendingDropped, retryPending, selectMessage, selectPending, stopAnswer } from './chatSlice';
import { MessageRow, Typing } from './MessageRow';

const NEAR = 60; // px from the end that still count as at the end

/** Follows the end of what grows, until the reader scrolls up. */
function useFollow() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [atEnd, setAtEnd] = useState(true);
  const toEnd = useCallback(() => {
    following.current = true;
    setAtEnd(true);
    const s = scroller.current;
    if (s) s.scrollTop = s.scrollHeight;
  }, []);
  useLayoutEffect(() => {
    const s = scroller.current;
    const c = content.current;
    if (!s || !c) return;
    const grown = new ResizeObserver(() => {
      if (following.current) s.scrollTop = s.scrollHeight;
    });
    grown.observe(c);
    grown.observe(s);
    let top = s.scrollTop;
    const onScroll = () => {
      const end = s.scrollHeight - s.scrollTop - s.clientHeight < NEAR;
      if (s.scrollTop < top - 1 && !end) following.current = false;
      else if (end && s.scrollTop >= top) following.current = true;
      top = s.scrollTop;
      setAtEnd(following.current);
    };
    const onWheel = (e: WheelEvent) => {
      if (e.deltaY < 0 && s.scrollHeight > s.clientHeight) {
        following.current = false;
        setAtEnd(false);
      }
    };
    s.addEventListener('scroll', onScroll, { passive: true });
    s.addEventListener('wheel', onWheel, { passive: true });
    return () => {
      grown.disconnect();
      s.removeEventListener('scroll', onScroll);
      s.removeEventListener('wheel', onWheel);
    };
  }, []);
  return { scroller, content, atEnd, toEnd };
}

/** The open session, or a new one. */
export function ChatArea({ session, model }: { session: string | null; model: string }) {
  const dispatch = useAppDispatch();
  const ids = useAppSelector((state) => (session ? branchOf(state.chat, session) : []), shallowEqual);
  const loaded = useAppSelector((state) => !session || state.chat.versions[session] !== undefined || ids.length > 0);
  const any = useAppSelector(selectPending);
  const pending = any && any.session === session ? any : null;
  const last = ids.at(-1);
  const status = useAppSelector((state) => (last ? selectMessage(state, last)?.status : undefined));
  const streaming = status === 'streaming' || (pending !== null && !pending.error);
  const { scroller, content, atEnd, toEnd } = useFollow();

  // A new place or a new question of one's own is always shown.
  // biome-ignore lint/correctness/useExhaustiveDependencies: these are what it waits for
  useEffect(toEnd, [session, pending?.message_id, toEnd]);

  const stop = useCallback(() => {
    if (last && status === 'streaming') dispatch(stopAnswer(last));
  }, [dispatch, last, status]);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => e.key === 'Escape' && stop();
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [stop]);

  const [announced, setAnnounced] = useState('');
  const was = useRef(streaming);
  useEffect(() => {
    if (was.current !== streaming) setAnnounced(streaming ? 'Generating' : 'Answer finished');
    was.current = streaming;
  }, [streaming]);

  const empty = loaded && ids.length === 0 && !pending;
  return (
    <section className={styles.area} aria-label="Conversation">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div className={styles.scroller} ref={scroller} role="log" aria-live="off" aria-label="Messages" tabIndex={0}>
        <div className={styles.column} ref={content}>
          {empty && (
            <Title order={2} className={styles.welcome}>
              What can I help with?
            </Title>
          )}
          {ids.map((id) => (
            <MessageRow key={id} id={id} model={model} />
          ))}
          {pending?.content && (
            <article className={styles.question} aria-label="You">
              <div className={styles.bubble} data-sending>
                {pending.content}
              </div>
            </article>
          )}
          {pending && !pending.error && (
            <article className={styles.answer} aria-label="Assistant" aria-busy>
              <Typing />
            </article>
          )}
          {pending?.error && (
            <Alert color="red" role="alert" title="Not sent">
              {pending.error}
              <Group gap="xs" mt="xs">
                <Button size="xs" onClick={() => dispatch(retryPending())}>
                  Retry
                </Button>
                <Button size="xs" variant="default" onClick={() => dispatch(pendingDropped())}>
                  Discard
                </Button>
              </Group>
            </Alert>
          )}
        </div>
      </div>
      <div className={styles.foot}>
        {!atEnd && (
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
          key={session ?? 'new'}
          session={session}
          streaming={streaming}
          onSend={(text) => dispatch(ask({ session, content: text, parent_id: last ?? null, model }))}
          onStop={stop}
        />
      </div>
      <VisuallyHidden role="status" aria-live="polite">
        {announced}
      </VisuallyHidden>
    </section>
  );
}
