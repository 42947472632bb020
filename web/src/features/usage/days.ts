import { count } from '../../shared/format';
import type { UsageSum } from '../../shared/protocol';

const DAY = 86_400_000;

/** One sum for each of the last days, also of those without any use. Days are the server's: UTC. */
export function everyDay(sums: UsageSum[], days: number, now = Date.now()): UsageSum[] {
  const known = new Map(sums.map((s) => [s.key, s]));
  return Array.from({ length: days }, (_, i) => {
    const key = new Date(now - (days - 1 - i) * DAY).toISOString().slice(0, 10);
    return known.get(key) ?? { ...nothing, key, label: key };
  });
}

const nothing: UsageSum = {
  key: '',
  label: '',
  answers: 0,
  titles: 0,
  input_tokens: 0,
  output_tokens: 0,
  cached_tokens: 0,
  reasoning_tokens: 0,
  cost: 0,
  estimated: 0,
  unpriced: 0,
};

/** All of them together. */
export function total(sums: UsageSum[]): UsageSum {
  const all = { ...nothing };
  for (const s of sums) {
    all.answers += s.answers;
    all.titles += s.titles ?? 0; // an older replica does not say
    all.input_tokens += s.input_tokens;
    all.output_tokens += s.output_tokens;
    all.cached_tokens += s.cached_tokens;
    all.reasoning_tokens += s.reasoning_tokens;
    all.cost += s.cost;
    all.estimated += s.estimated;
    all.unpriced += s.unpriced;
  }
  return all;
}

export const titled = (n: number): string => `${count(n)} ${n === 1 ? 'title' : 'titles'}`;

/** How many answers there were, and titles beside them. */
export const answersOf = (s: UsageSum): string =>
  [...(s.answers > 0 || s.titles === 0 ? [count(s.answers)] : []), ...(s.titles > 0 ? [titled(s.titles)] : [])].join(
    ' + ',
  );

const shortDay = new Intl.DateTimeFormat('en', { day: 'numeric', month: 'short', timeZone: 'UTC' });
export const dayName = (key: string): string => shortDay.format(new Date(`${key}T00:00:00Z`));
