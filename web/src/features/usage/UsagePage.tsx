import { Alert, Group, SegmentedControl, Skeleton, Stack, Switch, Tabs, Text, Title } from '@mantine/core';
import { lazy, Suspense, useEffect, useState } from 'react';
import { count, money } from '../../shared/format';
import { useAppDispatch } from '../../shared/hooks';
import { DailyLimit } from './DailyLimit';
import { everyDay, titled, total } from './days';
import { useUsageSelector } from './hooks';
import type { Measure } from './UsageChart';
import { UsageTable } from './UsageTable';
import { type Grouping, loadUsage, selectUsage, selectUsageError, type UsageQuery } from './usageSlice';

const UsageChart = lazy(() => import('./UsageChart').then((m) => ({ default: m.UsageChart })));

function Chart({ query }: { query: UsageQuery }) {
  const dispatch = useAppDispatch();
  const sums = useUsageSelector((state) => selectUsage(state, query));
  const [measure, setMeasure] = useState<Measure>('tokens');
  const { by, days, everyone } = query;
  useEffect(() => {
    dispatch(loadUsage({ by, days, everyone }));
  }, [dispatch, by, days, everyone]);
  const all = sums && total(sums);
  return (
    <figure style={{ margin: 0 }} aria-label="Usage by day">
      <Group justify="space-between" mb="xs">
        <Text component="figcaption" mih={24}>
          {all &&
            `${count(all.answers)} ${all.answers === 1 ? 'answer' : 'answers'}${all.titles > 0 ? ` and ${titled(all.titles)}` : ''}, ${count(all.input_tokens + all.output_tokens)} tokens, ${money(all.cost)}` +
              `${all.unpriced > 0 ? ` and ${count(all.unpriced)} of unknown price` : ''}` +
              `${all.estimated > 0 ? `; ${count(all.estimated)} estimated` : ''}`}
        </Text>
        <SegmentedControl
          aria-label="Measure"
          value={measure}
          onChange={(v) => setMeasure(v as Measure)}
          data={[
            { value: 'tokens', label: 'Tokens' },
            { value: 'cost', label: 'Cost' },
          ]}
        />
      </Group>
      <div style={{ height: 240 }}>
        {sums && (
          <Suspense fallback={<Skeleton h={240} />}>
            <UsageChart days={everyDay(sums, days)} measure={measure} />
          </Suspense>
        )}
      </div>
    </figure>
  );
}

/** What was used, by day, model, chat and user. */
export function UsagePage() {
  const admin = useUsageSelector((state) => state.auth.user?.role === 'admin');
  const error = useUsageSelector(selectUsageError);
  const [days, setDays] = useState(30);
  const [everyone, setEveryone] = useState(false);
  const [by, setBy] = useState<Grouping>('model');
  const tables: [Grouping, string][] = [
    ['model', 'By model'],
    ['session', 'By chat'],
    ['day', 'By day'],
  ];
  if (admin) tables.push(['user', 'By user']);
  return (
    <Stack gap="lg" maw={860}>
      {error && (
        <Alert color="red" role="alert">
          {error}
        </Alert>
      )}
      <DailyLimit />
      <Group justify="space-between">
        <SegmentedControl
          aria-label="Time"
          value={String(days)}
          onChange={(v) => setDays(Number(v))}
          data={['7', '30', '90'].map((value) => ({ value, label: `${value} days` }))}
        />
        {admin && (
          <Switch label="Everyone's" checked={everyone} onChange={(e) => setEveryone(e.currentTarget.checked)} />
        )}
      </Group>
      <Chart query={{ by: 'day', days, everyone }} />
      <Stack gap="xs">
        <Title order={2} size="h4">
          Where it went
        </Title>
        <Tabs value={by} onChange={(v) => setBy(v as Grouping)} keepMounted={false}>
          <Tabs.List mb="sm">
            {tables.map(([value, name]) => (
              <Tabs.Tab key={value} value={value}>
                {name}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          {tables.map(([value, name]) => (
            <Tabs.Panel key={value} value={value}>
              <UsageTable by={value} days={days} everyone={everyone} title={name} />
            </Tabs.Panel>
          ))}
        </Tabs>
      </Stack>
    </Stack>
  );
}
