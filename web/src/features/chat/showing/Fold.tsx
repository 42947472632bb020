import { UnstyledButton } from '@mantine/core';
import { IconChevronRight } from '@tabler/icons-react';
import { type ReactNode, useContext, useId, useState } from 'react';
import { HoldPlace } from '../streaming/useFollowEnd';
import styles from './AnswerParts.module.css';

/** A line that opens what lies behind it, which is rendered only while it is open. */
export function Fold({ label, live, children }: { label: ReactNode; live: boolean; children: () => ReactNode }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const hold = useContext(HoldPlace);
  const toggle = () => {
    if (!live) hold(); // what still grows is followed
    setOpen(!open);
  };
  return (
    <div className={styles.part}>
      <UnstyledButton className={styles.summary} aria-expanded={open} aria-controls={id} onClick={toggle}>
        <IconChevronRight size={16} data-open={open || undefined} />
        <span className={styles.label} data-live={live || undefined}>
          {label}
        </span>
      </UnstyledButton>
      <div id={id} hidden={!open}>
        {open && children()}
      </div>
    </div>
  );
}
