import { Alert, Button, Group, Modal, PasswordInput, Select, Stack, Switch, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useAppDispatch } from '../../shared/hooks';
import type { Endpoint } from '../../shared/protocol';
import { ListFailureNote } from './ListFailureNote';
import { kinds } from './providerKinds';
import { putEndpoint } from './settingsSlice';
import { useSave } from './useSave';

interface Props {
  /** undefined for a new one. */
  endpoint: Endpoint | undefined;
  admin: boolean;
  onClose: () => void;
}

function Form({ endpoint, admin, onClose }: Props) {
  const dispatch = useAppDispatch();
  const [name, setName] = useState(endpoint?.name ?? '');
  const [kind, setKind] = useState(endpoint?.kind ?? 'openai');
  const [url, setURL] = useState(endpoint?.base_url ?? '');
  const [key, setKey] = useState('');
  const [shared, setShared] = useState(endpoint?.source === 'admin');
  const { saving, save, errorOf, otherError } = useSave();
  const moved = endpoint !== undefined && (endpoint.kind !== kind || endpoint.base_url !== url.trim());
  const keeps = endpoint?.has_key && !moved;
  const other = otherError('name', 'kind', 'base_url', 'api_key');
  const [listed, setListed] = useState(endpoint?.error);
  const better = listed?.base_url && listed.base_url !== url.trim() ? listed.base_url : undefined;
  const submit = async () => {
    const draft = { name: name.trim(), kind, base_url: url.trim(), api_key: key.trim(), shared };
    const saved = dispatch(putEndpoint(draft));
    if (!(await save(saved))) return;
    const source = shared ? 'admin' : 'user';
    const there = (await saved.unwrap()).find((e) => e.name === draft.name && e.source === source);
    setListed(there?.error);
    if (!there?.error?.base_url) onClose(); // otherwise it is saved, and would be better with another address
  };
  return (
    <form
      autoComplete="off"
      onSubmit={(e) => {
        e.preventDefault();
        submit();
      }}
    >
      <Stack>
        {other && (
          <Alert color="red" role="alert">
            {other}
          </Alert>
        )}
        <Select
          label="Kind"
          description="How it is spoken to. Most services speak like OpenAI."
          data={kinds}
          allowDeselect={false}
          size="md"
          value={kind}
          onChange={(v) => v && setKind(v)}
          error={errorOf('kind')}
        />
        <TextInput
          label="Name"
          description="Small letters, digits and -. Its models are called name/model."
          required
          size="md"
          disabled={endpoint !== undefined}
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
          error={errorOf('name')}
        />
        <TextInput
          label="Address"
          description="Empty: the vendor's own"
          placeholder="https://…/v1"
          type="url"
          size="md"
          value={url}
          onChange={(e) => setURL(e.currentTarget.value)}
          error={errorOf('base_url')}
        />
        {listed && better && (
          <Alert variant="outline" color="red" role="alert">
            <ListFailureNote failure={listed} />
            <Button mt="xs" size="xs" variant="default" onClick={() => setURL(better)}>
              Use {better}
            </Button>
          </Alert>
        )}
        <PasswordInput
          label="API key"
          description={
            keeps
              ? 'There is one. Leave this empty to keep it; it is never shown.'
              : 'Stored encrypted, and never shown again.'
          }
          placeholder={keeps ? 'Unchanged' : ''}
          autoComplete="new-password"
          size="md"
          value={key}
          onChange={(e) => setKey(e.currentTarget.value)}
          error={errorOf('api_key')}
        />
        {admin && (
          <Switch
            label="For everyone on this server"
            size="md"
            disabled={endpoint !== undefined}
            checked={shared}
            onChange={(e) => setShared(e.currentTarget.checked)}
          />
        )}
        <Group justify="flex-end">
          <Button variant="default" size="md" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" size="md" loading={saving}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** Adds or changes a provider. */
export function EndpointForm({ opened, ...props }: Props & { opened: boolean }) {
  return (
    <Modal
      opened={opened}
      onClose={props.onClose}
      title={props.endpoint ? `Change ${props.endpoint.name}` : 'Add a provider'}
    >
      <Form {...props} />
    </Modal>
  );
}
