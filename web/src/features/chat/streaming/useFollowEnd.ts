import { createContext, useCallback, useLayoutEffect, useRef, useState } from 'react';

/** How many pixels above its end the view still counts as being there. */
const NEAR = 4;

/** Called before something in the middle changes its size: the view then stays where it is instead of following the end. */
export const HoldPlace = createContext(() => {});

/** How far an element can be scrolled. */
const roomOf = (s: HTMLElement) => s.scrollHeight - s.clientHeight;

/** Keeps a view at the end of content that grows, until the reader scrolls up. */
export function useFollowEnd() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const now = useRef(true);
  const seen = useRef({ top: 0, room: 0 });
  const [following, setFollowing] = useState(true);
  const set = useCallback((yes: boolean) => {
    now.current = yes;
    setFollowing(yes);
    const s = scroller.current;
    if (!s) return;
    if (yes) s.scrollTop = s.scrollHeight;
    seen.current = { top: s.scrollTop, room: roomOf(s) };
  }, []);
  const toEnd = useCallback(() => set(true), [set]);
  const hold = useCallback(() => {
    now.current = false;
    requestAnimationFrame(() => {
      const s = scroller.current;
      if (s) set(now.current || roomOf(s) - s.scrollTop <= NEAR);
    });
  }, [set]);
  useLayoutEffect(() => {
    const s = scroller.current;
    const c = content.current;
    if (!s || !c) return;
    const resized = new ResizeObserver(() => set(now.current));
    resized.observe(c);
    resized.observe(s);
    const onScroll = () => {
      const room = roomOf(s);
      const top = Math.min(s.scrollTop, room); // a finger may pull the view beyond its end
      // Only a reader scrolls up while there is as much to scroll as before; otherwise the browser may have moved the view.
      if (top < seen.current.top && room >= seen.current.room) now.current = false;
      else if (room - top <= NEAR) now.current = true;
      seen.current = { top, room };
      setFollowing(now.current);
    };
    const onWheel = (e: WheelEvent) => {
      if (e.deltaY < 0 && s.scrollTop > 0) set(false);
    };
    // The browser scrolls to where the end was when the key was pressed, but the end moves on meanwhile.
    const onKey = (e: KeyboardEvent) => {
      if (e.key === 'End' && e.target === s) toEnd();
    };
    s.addEventListener('keydown', onKey);
    s.addEventListener('scroll', onScroll, { passive: true });
    s.addEventListener('wheel', onWheel, { passive: true });
    return () => {
      resized.disconnect();
      s.removeEventListener('keydown', onKey);
      s.removeEventListener('scroll', onScroll);
      s.removeEventListener('wheel', onWheel);
    };
  }, [set, toEnd]);
  return { scroller, content, following, toEnd, hold };
}
