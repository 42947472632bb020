import { Popover, Table, Text, UnstyledButton } from '@mantine/core';
import { count, money } from '../../../shared/format';
import type { Usage } from '../../../shared/protocol';
import { useChatSelector } from '../hooks';
import styles from './AnswerParts.module.css';

function rowsOf(u: Usage): [string, string][] {
  const rows: [string, string][] = [['Question and context', `${count(u.input_tokens)} tokens`]];
  if (u.cached_tokens) rows.push(['of which from the cache', count(u.cached_tokens)]);
  rows.push(['Answer', `${count(u.output_tokens)} tokens`]);
  if (u.reasoning_tokens) rows.push(['of which thinking', count(u.reasoning_tokens)]);
  rows.push(['Cost', u.cost === undefined ? 'price unknown' : money(u.cost)]);
  return rows;
}

function UsageButton({ usage }: { usage: Usage }) {
  const total = `${usage.estimated ? '≈ ' : ''}${count(usage.input_tokens + usage.output_tokens)} tokens`;
  return (
    <Popover position="top-start" withArrow trapFocus returnFocus>
      <Popover.Target>
        <UnstyledButton className={styles.usage}>
          {total}
          {usage.cost !== undefined && ` · ${money(usage.cost)}`}
          {usage.estimated && ' · estimated'}
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>
        <Table withRowBorders={false} verticalSpacing={2}>
          <Table.Tbody>
            {rowsOf(usage).map(([name, value]) => (
              <Table.Tr key={name}>
                <Table.Th fw={400}>{name}</Table.Th>
                <Table.Td ta="right">{value}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
        {usage.estimated && (
          <Text size="xs" c="dimmed" mt={4} maw={240}>
            The provider did not report it: this is an estimate.
          </Text>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}

/** Which model wrote an answer, and what that took. */
export function ModelAndUsage({ model, usage }: { model: string; usage: Usage | null }) {
  const name = useChatSelector((state) => state.models.items.find((m) => m.id === model)?.name);
  return (
    <span className={styles.meta}>
      <span title={model}>{name ?? model}</span>
      {usage && <UsageButton usage={usage} />}
    </span>
  );
}
