import type { ReactNode } from 'react';
import styles from './Screen.module.css';

/** A whole page that scrolls by itself, as the document does not. */
export function Screen({ centred = false, children }: { centred?: boolean; children: ReactNode }) {
  return <main className={centred ? `${styles.screen} ${styles.centred}` : styles.screen}>{children}</main>;
}
