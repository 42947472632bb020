import { IconTool } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { bytes } from '../../../shared/format';
import type { Call } from '../../../shared/protocol';
import styles from './AnswerParts.module.css';
import { Fold } from './Fold';
import { SentFiles } from './files/SentFiles';
import { prettyJSON } from './prettyJSON';

/** What is said of a call before and after the tool's name. */
const words: Record<Call['status'], [before: string, after: string]> = {
  writing: ['Wants to call', ''],
  waiting: ['Wants to call', 'waits for a person'],
  running: ['Calling', ''],
  done: ['Called', ''],
  failed: ['Called', 'failed'],
  denied: ['Did not call', 'not allowed'],
  unknown: ['Called', 'nobody knows whether it took effect'],
};

/** The same of a call that failed before it was made. */
const unmade: Record<string, [before: string, after: string]> = {
  no_such_tool: ['Wants to call', 'there is no such tool here'],
  call_cut: ['Wants to call', 'broken off'],
};

const ended = ['done', 'failed', 'denied', 'unknown'];

/** Whether nothing more comes of a call. */
export const hasEnded = (call: Call) => ended.includes(call.status);

/** What the model or a tool said, with how it was said. */
function Said({ title, children }: { title: string; children: ReactNode }) {
  return (
    <>
      <p className={styles.title}>{title}</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <pre tabIndex={0} className={styles.said} dir="auto">
        {children}
      </pre>
    </>
  );
}

/** A use of a tool: what it is called with, and what came of it. */
export function ToolCall({ call, streaming }: { call: Call; streaming: boolean }) {
  const { tool, title, wait, result, error } = call;
  const live = streaming && !hasEnded(call);
  const [before, after] = unmade[error?.code ?? ''] ?? words[call.status] ?? ['Calls', call.status];
  const name = title || <code>{tool}</code>;
  const left = !streaming && call.status === 'running' ? 'no result' : after;
  return (
    <>
      <Fold
        live={live}
        label={
          <>
            <IconTool size={16} />
            <span>
              {before} {name}
              {left && ` · ${left}`}
            </span>
          </>
        }
      >
        {() => (
          <div className={styles.call}>
            <Said title={title ? `${tool} with` : 'With'}>
              {prettyJSON(call.arguments, !live || call.status !== 'writing') || 'no arguments'}
            </Said>
            {result && <Said title="Result">{prettyJSON(result.text, true) || 'nothing'}</Said>}
            {result?.cut && (
              <p className={styles.title}>The model reads a part of it. The whole is {bytes(result.bytes)}.</p>
            )}
            {error && <Said title="Error">{error.detail || error.code}</Said>}
          </div>
        )}
      </Fold>
      {live && wait && <p className={styles.notice}>{wait.text}</p>}
      {result && <SentFiles files={result.attachments} />}
    </>
  );
}
