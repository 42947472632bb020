import { Skeleton, Table, Text } from '@mantine/core';
import { useEffect } from 'react';
import { count, money } from '../../shared/format';
import { useAppDispatch } from '../../shared/hooks';
import type { UsageSum } from '../../shared/protocol';
import { answersOf } from './days';
import { useUsageSelector } from './hooks';
import { loadUsage, selectUsage, type UsageQuery } from './usageSlice';

const names = { day: 'Day', model: 'Model', session: 'Chat', user: 'User' };

function costOf(s: UsageSum): string {
  if (s.unpriced > 0 && s.unpriced === s.answers + s.titles) return 'unknown';
  return `${s.unpriced > 0 ? '≥ ' : ''}${money(s.cost)}`;
}

/** Rows of sums, the dearest first. */
export function UsageTable({ by, days, everyone, title }: UsageQuery & { title: string }) {
  const dispatch = useAppDispatch();
  const rows = useUsageSelector((state) => selectUsage(state, { by, days, everyone }));
  useEffect(() => {
    dispatch(loadUsage({ by, days, everyone }));
  }, [dispatch, by, days, everyone]);
  if (!rows) return <Skeleton h={160} />;
  if (rows.length === 0) return <Text c="dimmed">Nothing in this time.</Text>;
  return (
    <Table.ScrollContainer type="native" minWidth={480} tabIndex={0} role="group" aria-label={title}>
      <Table verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{names[by]}</Table.Th>
            <Table.Th ta="right">Answers</Table.Th>
            <Table.Th ta="right">Tokens in</Table.Th>
            <Table.Th ta="right">Tokens out</Table.Th>
            <Table.Th ta="right">Cost</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map((r) => (
            <Table.Tr key={r.key}>
              <Table.Td maw={320} style={{ overflowWrap: 'anywhere' }}>
                {r.label || r.key}
              </Table.Td>
              <Table.Td ta="right">{answersOf(r)}</Table.Td>
              <Table.Td ta="right">{count(r.input_tokens)}</Table.Td>
              <Table.Td ta="right">{count(r.output_tokens)}</Table.Td>
              <Table.Td ta="right">{costOf(r)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
