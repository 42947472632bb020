import { ActionIcon, Alert, Badge, Button, Group, Skeleton, Stack, Table, Text, TextInput } from '@mantine/core';
import { IconArrowBackUp, IconPencil, IconPlus, IconSearch } from '@tabler/icons-react';
import { useState } from 'react';
import { useAppDispatch } from '../../shared/hooks';
import type { ModelPrice } from '../../shared/protocol';
import { searchForm } from '../../shared/searchForm';
import { useSettingsSelector } from './hooks';
import { PriceForm } from './PriceForm';
import { deletePrice } from './settingsSlice';

/** What models cost. The admin may change it. */
export function Prices() {
  const dispatch = useAppDispatch();
  const list = useSettingsSelector((state) => state.settings.prices);
  const admin = useSettingsSelector((state) => state.auth.user?.role === 'admin');
  const [query, setQuery] = useState('');
  const [edited, setEdited] = useState<ModelPrice>();
  const [formOpen, setFormOpen] = useState(false);
  const [error, setError] = useState('');
  if (!list) return <Skeleton h={400} />;
  const changed = new Set(list.filter((p) => p.custom).map((p) => p.model));
  const valid = list.filter((p) => p.custom || !changed.has(p.model));
  const shown = valid.filter((p) => searchForm(p.model).includes(searchForm(query)));
  const edit = (p?: ModelPrice) => {
    setEdited(p);
    setFormOpen(true);
  };
  const reset = async (p: ModelPrice) => {
    const done = await dispatch(deletePrice(p.model));
    setError(deletePrice.rejected.match(done) ? (done.payload?.detail ?? 'That did not work.') : '');
  };
  return (
    <Stack maw={860}>
      <Text size="sm" c="dimmed">
        US dollars for a million tokens. The longest name that a model begins with counts.
        {!admin && ' The admin of this server can change them.'}
      </Text>
      <Group>
        <TextInput
          aria-label="Search prices"
          placeholder="Search"
          size="md"
          flex={1}
          miw={180}
          leftSection={<IconSearch size={16} />}
          value={query}
          onChange={(e) => setQuery(e.currentTarget.value)}
        />
        {admin && (
          <Button leftSection={<IconPlus size={18} />} size="md" onClick={() => edit()}>
            Add a price
          </Button>
        )}
      </Group>
      {error && (
        <Alert color="red" role="alert">
          {error}
        </Alert>
      )}
      <Table.ScrollContainer type="native" minWidth={admin ? 520 : 420} tabIndex={0} aria-label="Prices" role="group">
        <Table verticalSpacing={4}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Model</Table.Th>
              <Table.Th ta="right">Input</Table.Th>
              <Table.Th ta="right">Cached</Table.Th>
              <Table.Th ta="right">Output</Table.Th>
              {admin && <Table.Th ta="right">Change</Table.Th>}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {shown.map((p) => (
              <Table.Tr key={`${p.custom} ${p.model}`}>
                <Table.Td>
                  <Group gap="xs">
                    {p.model}
                    {p.custom && (
                      <Badge variant="light" tt="none">
                        Changed
                      </Badge>
                    )}
                  </Group>
                </Table.Td>
                <Table.Td ta="right">${p.input}</Table.Td>
                <Table.Td ta="right">${p.cached_input}</Table.Td>
                <Table.Td ta="right">${p.output}</Table.Td>
                {admin && (
                  <Table.Td>
                    <Group gap={2} justify="flex-end" wrap="nowrap">
                      {p.custom && (
                        <ActionIcon
                          variant="subtle"
                          color="gray"
                          size={40}
                          aria-label={`Undo the price of ${p.model}`}
                          onClick={() => reset(p)}
                        >
                          <IconArrowBackUp size={18} />
                        </ActionIcon>
                      )}
                      <ActionIcon
                        variant="subtle"
                        color="gray"
                        size={40}
                        aria-label={`Change the price of ${p.model}`}
                        onClick={() => edit(p)}
                      >
                        <IconPencil size={18} />
                      </ActionIcon>
                    </Group>
                  </Table.Td>
                )}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <PriceForm opened={formOpen} price={edited} onClose={() => setFormOpen(false)} />
    </Stack>
  );
}
