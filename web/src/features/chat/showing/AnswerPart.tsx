import { lazy, memo, Suspense } from 'react';
import { ErrorBoundary } from '../../../shared/ui/ErrorBoundary';
import styles from '../Chat.module.css';
import type { HeldPart } from '../streaming/parts';
import type { Growth } from './markdown/makeSplitter';
import { Reasoning } from './Reasoning';
import { ToolCall } from './ToolCall';

const Markdown = lazy(() => import('./markdown/Markdown').then((m) => ({ default: m.Markdown })));

function Text({ text, growth }: { text: string; growth: Growth }) {
  return (
    <ErrorBoundary
      fallback={
        <div className={styles.plain} dir="auto">
          {text}
        </div>
      }
      tryAgain={growth === 'growing'}
    >
      <Suspense
        fallback={
          <div className={styles.plain} data-waiting>
            {text}
          </div>
        }
      >
        <Markdown text={text} growth={growth} />
      </Suspense>
    </ErrorBoundary>
  );
}

/** A part of an answer. A token renders the part that it belongs to, and no other. */
export const AnswerPart = memo(function AnswerPart(props: {
  part: HeldPart;
  growth: Growth;
  /** Whether the answer goes on, here or further down. */
  streaming: boolean;
  /** When the part began, unless this tab saw it. */
  since: string;
}) {
  const { part, growth, streaming, since } = props;
  switch (part.type) {
    case 'reasoning':
      return (
        <Reasoning
          text={part.text}
          thinking={growth === 'growing'}
          since={part.since ?? Math.min(Date.now(), Date.parse(since))}
          ms={part.ms}
        />
      );
    case 'call':
      return <ToolCall call={part.call} streaming={streaming} />;
    case 'text':
      return <Text text={part.text} growth={growth} />;
  }
});
