import { UnstyledButton } from '@mantine/core';
import { IconChevronRight } from '@tabler/icons-react';
import { useEffect, useId, useState } from 'react';
import { duration } from '../../../shared/format';
import styles from './AnswerParts.module.css';

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

/** The thinking before an answer: it ticks while it goes on, and opens when a person wants to read it. */
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
  const [open, setOpen] = useState(false);
  const id = useId();
  const now = useNow(thinking);
  const label = thinking
    ? `Thinking ${duration((now - since) / 1000)}`
    : ms
      ? `Thought for ${duration(Math.max(1, ms / 1000))}`
      : 'Thoughts';
  return (
    <div className={styles.part}>
      <UnstyledButton className={styles.summary} aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
        <IconChevronRight size={16} data-open={open || undefined} />
        <span className={styles.ticking} data-thinking={thinking || undefined}>
          {label}
        </span>
      </UnstyledButton>
      <div id={id} hidden={!open} className={styles.reasoning} dir="auto">
        {open && text}
      </div>
    </div>
  );
}
