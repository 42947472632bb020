import { Affix, Alert } from '@mantine/core';
import { explain } from '../features/chat/failures';
import { noticed } from '../shared/noticeSlice';
import { useAppDispatch, useAppSelector } from './hooks';
import styles from './Notice.module.css';

/** Says what did not happen, over whatever is open, until it is closed or something else succeeds. */
export function Notice() {
  const dispatch = useAppDispatch();
  const notice = useAppSelector((state) => state.notice.last);
  if (!notice) return null;
  const { title, text, detail } = explain(notice.why);
  return (
    <Affix position={{ top: 8, left: 8, right: 8 }} zIndex={300} className={styles.place}>
      <Alert
        classNames={{ root: styles.notice, closeButton: styles.close }}
        color="red"
        variant="default"
        role="alert"
        title={notice.what}
        withCloseButton
        closeButtonLabel="Close"
        onClose={() => dispatch(noticed(null))}
      >
        {detail || `${title}. ${text}`}
      </Alert>
    </Affix>
  );
}
