import { Bar, BarChart, CartesianGrid, Legend, ResponsiveContainer, Tooltip, XAxis, YAxis } from 'recharts';
import { compact, count, money } from '../../shared/format';
import type { UsageSum } from '../../shared/protocol';
import { dayName } from './days';
import styles from './Usage.module.css';

export type Measure = 'tokens' | 'cost';

const axis = { stroke: 'var(--mantine-color-dimmed)', fontSize: 12, tickLine: false, axisLine: false } as const;
const box = {
  background: 'var(--mantine-color-body)',
  border: '1px solid var(--mantine-color-default-border)',
  borderRadius: 8,
  color: 'var(--mantine-color-text)',
};

/** Bars for each day. The arrow keys go from day to day. */
export function UsageChart({ days, measure }: { days: UsageSum[]; measure: Measure }) {
  const say = measure === 'cost' ? money : count;
  return (
    <ResponsiveContainer width="100%" height={240}>
      <BarChart data={days} accessibilityLayer margin={{ top: 8, right: 8, bottom: 0, left: 0 }}>
        <CartesianGrid vertical={false} stroke="var(--mantine-color-default-border)" />
        <XAxis dataKey="key" tickFormatter={dayName} minTickGap={28} {...axis} />
        <YAxis
          width={56}
          tickFormatter={measure === 'cost' ? money : compact}
          allowDecimals={measure === 'cost'}
          {...axis}
        />
        <Tooltip
          labelFormatter={(day) => dayName(String(day))}
          formatter={(value) => say(Number(value))}
          contentStyle={box}
          itemStyle={{ color: 'var(--mantine-color-text)' }}
          cursor={{ fill: 'var(--mantine-color-default-hover)' }}
          isAnimationActive={false}
        />
        {measure === 'tokens' && <Legend formatter={(name) => <span className={styles.legend}>{name}</span>} />}
        {measure === 'cost' ? (
          <Bar
            dataKey="cost"
            name="Cost"
            fill="light-dark(#4263eb, #748ffc)"
            radius={[3, 3, 0, 0]}
            isAnimationActive={false}
          />
        ) : (
          [
            <Bar
              key="in"
              dataKey="input_tokens"
              name="Questions and context"
              stackId="a"
              fill="light-dark(#4263eb, #748ffc)"
              isAnimationActive={false}
            />,
            <Bar
              key="out"
              dataKey="output_tokens"
              name="Answers"
              stackId="a"
              fill="light-dark(#0ca678, #38d9a9)"
              radius={[3, 3, 0, 0]}
              isAnimationActive={false}
            />,
          ]
        )}
      </BarChart>
    </ResponsiveContainer>
  );
}
