import { IconInfoCircle } from '@tabler/icons-react';
import type { Notice } from '../../../shared/protocol';
import styles from './AnswerParts.module.css';

const words: Record<string, string> = {
  context_cut: 'The oldest messages were left out: the chat is longer than the model can read.',
  images_left: 'Earlier images were left out: this model does not see images.',
  fallback: 'The chosen model failed, another one answered.',
  fallback_fail: 'The second model failed as well.',
  continued: 'The server that wrote it went away, another one went on.',
  model_loading: 'The model had to be loaded first.',
  input_short: 'The server read less than it was sent: it has dropped the oldest messages.',
};

/** What a person should know of an answer. */
export function Notices({ notices }: { notices: Notice[] }) {
  return notices.map((n, i) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: they are only added to
    <p key={i} className={styles.notice}>
      <IconInfoCircle size={16} />
      <span>{n.detail || words[n.code] || n.code}</span>
    </p>
  ));
}
