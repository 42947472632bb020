import { compact } from '../../shared/format';
import type { Model } from '../../shared/protocol';
import styles from './Models.module.css';

/** What a model can, in few words. */
export function hintsOf(m: Model): string[] {
  const hints: string[] = [];
  if (m.context > 0) hints.push(`${compact(m.context)} context`);
  if (m.vision) hints.push('sees images');
  if (m.reasoning) hints.push('reasoning');
  if (m.price) hints.push(`$${m.price.input} / $${m.price.output} per M`);
  return hints;
}

export function ModelHints({ model }: { model: Model }) {
  const hints = hintsOf(model);
  return hints.length > 0 && <span className={styles.hints}>{hints.join(' · ')}</span>;
}
