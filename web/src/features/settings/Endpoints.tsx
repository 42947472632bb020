import { ActionIcon, Alert, Badge, Button, Card, Group, Skeleton, Stack, Text } from '@mantine/core';
import { IconPencil, IconPlus, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { useAppDispatch } from '../../shared/hooks';
import type { Endpoint } from '../../shared/protocol';
import { Confirm } from '../../shared/ui/Confirm';
import { EndpointForm } from './EndpointForm';
import { useSettingsSelector } from './hooks';
import { ListFailureNote } from './ListFailureNote';
import { kindLabel } from './providerKinds';
import { deleteEndpoint } from './settingsSlice';

const sources = { settings: "Server's settings", admin: 'For everyone', user: 'Yours' };

function Row({
  endpoint: e,
  mayChange,
  onEdit,
  onRemove,
}: {
  endpoint: Endpoint;
  mayChange: boolean;
  onEdit: () => void;
  onRemove: () => void;
}) {
  return (
    <Card component="li" withBorder padding="sm">
      <Group justify="space-between" wrap="nowrap">
        <div style={{ minWidth: 0 }}>
          <Group gap="xs">
            <Text fw={600}>{e.name}</Text>
            <Badge variant="light" color="gray" tt="none">
              {sources[e.source]}
            </Badge>
            {!e.has_key && e.kind !== 'ollama' && e.kind !== 'demo' && (
              <Badge variant="light" color="gray" tt="none">
                No key
              </Badge>
            )}
          </Group>
          <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
            {kindLabel(e.kind)}
            {e.base_url && ` · ${e.base_url}`}
          </Text>
          {e.error && <ListFailureNote failure={e.error} />}
        </div>
        {mayChange && (
          <Group gap={4} wrap="nowrap">
            <ActionIcon variant="subtle" color="gray" size={44} aria-label={`Change ${e.name}`} onClick={onEdit}>
              <IconPencil size={18} />
            </ActionIcon>
            <ActionIcon variant="subtle" color="gray" size={44} aria-label={`Remove ${e.name}`} onClick={onRemove}>
              <IconTrash size={18} />
            </ActionIcon>
          </Group>
        )}
      </Group>
    </Card>
  );
}

/** The providers that are set up, and how to bring another one. */
export function Endpoints() {
  const dispatch = useAppDispatch();
  const list = useSettingsSelector((state) => state.settings.endpoints);
  const admin = useSettingsSelector((state) => state.auth.user?.role === 'admin');
  const [edited, setEdited] = useState<Endpoint | 'new'>();
  const [formOpen, setFormOpen] = useState(false);
  const [removed, setRemoved] = useState<Endpoint>();
  const [asking, setAsking] = useState(false);
  const [error, setError] = useState('');
  if (!list) return <Skeleton h={240} />;
  const edit = (e: Endpoint | 'new') => {
    setEdited(e);
    setFormOpen(true);
  };
  const remove = async (e: Endpoint) => {
    const done = await dispatch(deleteEndpoint(e));
    setError(deleteEndpoint.rejected.match(done) ? (done.payload?.detail ?? 'That did not work.') : '');
  };
  return (
    <Stack maw={760}>
      <Group justify="space-between">
        <Text size="sm" c="dimmed" flex={1} miw={220}>
          Where answers come from. Keys are stored encrypted, and nobody sees them again.
        </Text>
        <Button leftSection={<IconPlus size={18} />} size="md" onClick={() => edit('new')}>
          Add a provider
        </Button>
      </Group>
      {error && (
        <Alert color="red" role="alert">
          {error}
        </Alert>
      )}
      <Stack component="ul" gap="xs" p={0} m={0} style={{ listStyle: 'none' }} aria-label="Providers">
        {list.map((e) => (
          <Row
            key={`${e.source} ${e.name}`}
            endpoint={e}
            mayChange={e.source === 'user' || (e.source === 'admin' && admin)}
            onEdit={() => edit(e)}
            onRemove={() => {
              setRemoved(e);
              setAsking(true);
            }}
          />
        ))}
      </Stack>
      <EndpointForm
        opened={formOpen}
        endpoint={edited === 'new' ? undefined : edited}
        admin={admin}
        onClose={() => setFormOpen(false)}
      />
      <Confirm
        opened={asking}
        title="Remove this provider?"
        text={`“${removed?.name}” and its key are deleted${removed?.source === 'admin' ? ' for everyone' : ''}. Chats with its models stay.`}
        action="Remove"
        onClose={() => setAsking(false)}
        onConfirm={() => removed && remove(removed)}
      />
    </Stack>
  );
}
