import { Button } from '@mantine/core';
import { useState } from 'react';
import { useAppDispatch } from '../../../shared/hooks';
import { retryPending } from '../asking/ask';
import styles from '../Chat.module.css';
import { pendingDropped } from '../streaming/chatSlice';
import type { Pending } from '../streaming/pendingQuestion';
import { FailureNote } from './FailureNote';
import { SentFiles } from './files/SentFiles';
import { Typing } from './Typing';

/** What was asked in this tab and is not yet the server's. */
export function PendingRow({ pending, onEdit }: { pending: Pending; onEdit: (pending: Pending) => void }) {
  const dispatch = useAppDispatch();
  const { answer_id, content, failure } = pending;
  const [known, setKnown] = useState(failure);
  const [since, setSince] = useState<string | null>(null);
  if (known !== failure) {
    setKnown(failure);
    setSince(new Date().toISOString());
  }
  const drop = () => dispatch(pendingDropped(answer_id));
  return (
    <>
      {content !== null && (
        <article className={styles.question} aria-label="You">
          <SentFiles files={pending.attachments ?? []} />
          {content && (
            <div className={styles.bubble} dir="auto" data-sending={!failure || undefined}>
              {content}
            </div>
          )}
        </article>
      )}
      {failure ? (
        <FailureNote
          title="Not sent"
          failure={failure}
          since={since}
          onRetry={(model) => dispatch(retryPending({ answer_id, model }))}
        >
          {content !== null && (
            <Button size="xs" variant="default" onClick={() => onEdit(pending)}>
              Edit
            </Button>
          )}
          <Button size="xs" variant="subtle" color="gray" onClick={drop}>
            Discard
          </Button>
        </FailureNote>
      ) : (
        <article className={styles.answer} aria-label="Assistant" aria-busy>
          <Typing />
        </article>
      )}
    </>
  );
}
