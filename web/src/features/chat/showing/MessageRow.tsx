import { memo } from 'react';
import styles from '../Chat.module.css';
import { useChatSelector } from '../hooks';
import { selectMessage } from '../streaming/chatSlice';
import { Answer } from './Answer';
import { Question } from './Question';

/** One message. It selects its own data, so that a token renders one row. */
export const MessageRow = memo(function MessageRow({ id, model }: { id: string; model: string }) {
  const message = useChatSelector((state) => selectMessage(state, id));
  if (!message) return null;
  const mine = message.role === 'user';
  return (
    <article
      className={mine ? styles.question : styles.answer}
      aria-label={mine ? 'You' : 'Assistant'}
      aria-busy={message.status === 'streaming'}
    >
      {mine ? <Question message={message} model={model} /> : <Answer message={message} model={model} />}
    </article>
  );
});
