import { useEffect, useState } from 'react';
import { duration } from '../../../shared/format';
import styles from './AnswerParts.module.css';
import { Fold } from './Fold';

function useNow(ticking: boolean): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!ticking) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}

/** A stretch of thinking: it ticks while it goes on, and opens when a person wants to read it. */
export function Reasoning({
  text,
  thinking,
  since,
  ms,
}: {
  text: string;
  thinking: boolean;
  since: number;
  ms?: number;
}) {
  const now = useNow(thinking);
  const label = thinking
    ? `Thinking ${duration((now - since) / 1000)}`
    : ms
      ? `Thought for ${duration(Math.max(1, ms / 1000))}`
      : 'Thoughts';
  return (
    <Fold label={label} live={thinking}>
      {() => (
        <div className={styles.reasoning} dir="auto">
          {text}
        </div>
      )}
    </Fold>
  );
}
