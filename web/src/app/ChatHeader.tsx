import { ActionIcon, Badge, Group } from '@mantine/core';
import { IconAdjustmentsHorizontal } from '@tabler/icons-react';
import { lazy, type ReactNode, Suspense, useState } from 'react';
import { ModelPicker } from '../features/models/ModelPicker';
import { selectSession } from '../features/sessions/sessionsSlice';
import { useAppSelector } from './hooks';

const SessionSettings = lazy(() =>
  import('../features/sessions/SessionSettings').then((m) => ({ default: m.SessionSettings })),
);

/** The model of a chat, what is set for it, and who else watches. */
export function ChatHeader(props: {
  session: string | null;
  model: string;
  picking: boolean;
  onPicking: (picking: boolean) => void;
  onPick: (model: string) => void;
  children: ReactNode;
}) {
  const { session: id, model, children } = props;
  const session = useAppSelector((state) => selectSession(state, id));
  const newChatSettings = useAppSelector((state) => state.sessions.newChatSettings);
  const reasoning = useAppSelector((state) => state.models.items.find((m) => m.id === model)?.reasoning === true);
  const viewers = useAppSelector((state) => (id ? (state.chat.viewers[id] ?? 0) : 0));
  const [settings, setSettings] = useState<'never' | 'open' | 'closed'>('never');
  return (
    <Group h="100%" px="md" justify="space-between" wrap="nowrap">
      <Group gap="xs" wrap="nowrap" miw={0}>
        {children}
        <ModelPicker value={model} opened={props.picking} onOpened={props.onPicking} onChange={props.onPick} />
        <ActionIcon
          variant="subtle"
          color="gray"
          size={44}
          aria-label="Chat settings"
          disabled={id !== null && !session}
          onClick={() => setSettings('open')}
        >
          <IconAdjustmentsHorizontal size={20} />
        </ActionIcon>
        {settings !== 'never' && (
          <Suspense>
            <SessionSettings
              key={id}
              opened={settings === 'open'}
              session={session}
              newChatSettings={newChatSettings}
              reasoning={reasoning}
              onClose={() => setSettings('closed')}
            />
          </Suspense>
        )}
      </Group>
      {viewers > 1 && (
        <Badge variant="light" color="gray" tt="none" style={{ flex: 'none' }}>
          {viewers} watching
        </Badge>
      )}
    </Group>
  );
}
