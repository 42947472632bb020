import { Affix, Alert } from '@mantine/core';
import { explain } from '../features/chat/showing/failureWords';
import { useAppDispatch } from '../shared/hooks';
import { noticed } from '../shared/noticeSlice';
import type { Failure } from '../shared/protocol';
import { useAppSelector } from './hooks';
import styles from './Notice.module.css';

function wordsOf(why: Failure | string): string {
  if (typeof why === 'string') return why;
  const { title, text, detail } = explain(why);
  return detail || `${title}. ${text}`;
}

/** Says what failed, above everything else, until it is closed or another action succeeds. */
export function Notice() {
  const dispatch = useAppDispatch();
  const notice = useAppSelector((state) => state.notice.last);
  if (!notice) return null;
  const failed = typeof notice.why !== 'string';
  return (
    <Affix position={{ top: 64, left: 8, right: 8 }} zIndex={300} className={styles.place}>
      <Alert
        classNames={{ root: styles.notice, closeButton: styles.close }}
        color={failed ? 'red' : 'gray'}
        variant="default"
        role="alert"
        title={notice.what}
        withCloseButton
        closeButtonLabel="Close"
        onClose={() => dispatch(noticed(null))}
      >
        {wordsOf(notice.why)}
      </Alert>
    </Affix>
  );
}
