import { useCallback, useLayoutEffect, useRef, useState } from 'react';

const NEAR = 60; // px from the end that still count as at the end

/** Follows the end of what grows, until the reader scrolls up. */
export function useFollow() {
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
