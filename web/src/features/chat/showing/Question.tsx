import { ActionIcon, Group } from '@mantine/core';
import { IconPencil } from '@tabler/icons-react';
import { useContext, useState } from 'react';
import { useAppDispatch } from '../../../shared/hooks';
import { ask } from '../asking/ask';
import { EditMessage } from '../asking/EditMessage';
import styles from '../Chat.module.css';
import { type HeldMessage, textOf } from '../streaming/parts';
import { HoldPlace } from '../streaming/useFollowEnd';
import { CopyMessage } from './CopyMessage';
import { SentFiles } from './files/SentFiles';
import { Siblings } from './Siblings';

/** What a person asked. */
export function Question({ message, model }: { message: HeldMessage; model: string }) {
  const dispatch = useAppDispatch();
  const [editing, setEditing] = useState(false);
  const hold = useContext(HoldPlace);
  const edit = () => {
    hold();
    setEditing(true);
  };
  const { id, session_id: session, parent_id } = message;
  const content = textOf(message.parts);
  if (editing) {
    return (
      <EditMessage
        message={message}
        onCancel={() => setEditing(false)}
        onSend={(text, attachments) => {
          dispatch(ask({ session, content: text, parent_id, model, attachments }));
          setEditing(false);
        }}
      />
    );
  }
  return (
    <>
      <SentFiles files={message.attachments} />
      {content && (
        <div className={styles.bubble} dir="auto">
          {content}
        </div>
      )}
      <Group gap={4} className={styles.actions} justify="flex-end">
        <Siblings id={id} />
        <CopyMessage text={content} />
        <ActionIcon variant="subtle" color="gray" aria-label="Edit" onClick={edit}>
          <IconPencil size={16} />
        </ActionIcon>
      </Group>
    </>
  );
}
