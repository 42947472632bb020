import styles from './Chat.module.css';

/** The dots until the first token. */
export function Typing() {
  return (
    <div className={styles.typing} aria-hidden="true">
      <span />
      <span />
      <span />
    </div>
  );
}
