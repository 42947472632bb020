import { IconTool } from '@tabler/icons-react';
import type { ToolCall } from '../../../shared/protocol';
import styles from './AnswerParts.module.css';

/** JSON with line breaks; what is no JSON stays as it is. */
export function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** The tools that the model wanted called, and with what. */
export function ToolCalls({ calls }: { calls: ToolCall[] }) {
  return calls.map((call, i) => (
    <details key={call.id || i} className={styles.tool}>
      <summary>
        <IconTool size={16} />
        <span>
          Wants to call <code>{call.name}</code>
        </span>
      </summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0}>{pretty(call.arguments) || 'no arguments'}</pre>
    </details>
  ));
}
