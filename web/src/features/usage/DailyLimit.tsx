import { Group, Progress, Stack, Text } from '@mantine/core';
import { bytes, count, money } from '../../shared/format';
import { StorageNote } from '../../shared/StorageNote';
import { useUsageSelector } from './hooks';

function Line({ name, used, most, say }: { name: string; used: number; most: number; say: (n: number) => string }) {
  const part = most > 0 ? Math.min(100, Math.round((used / most) * 100)) : 0;
  return (
    <Stack gap={4}>
      <Group justify="space-between" gap="xs">
        <Text size="sm">{name}</Text>
        <Text size="sm">{most > 0 ? `${say(used)} of ${say(most)}` : `${say(used)}, no limit`}</Text>
      </Group>
      {most > 0 && (
        <Progress
          value={part}
          color={part >= 100 ? 'red' : part > 80 ? 'yellow' : 'indigo'}
          aria-label={`${name} used`}
        />
      )}
    </Stack>
  );
}

/** What the user has used, today and in all, and how much there is. */
export function DailyLimit() {
  const limits = useUsageSelector((state) => state.limits.known);
  return (
    <Stack gap="xs" maw={420} mih={60} component="section" aria-label="Limits">
      {limits && (
        <>
          <Line name="Tokens today" used={limits.used_tokens} most={limits.daily_tokens} say={count} />
          <Line name="Cost today" used={limits.used_cost} most={limits.daily_cost} say={money} />
          {limits.storage && (
            <Line name="Chats and files" used={limits.storage.used} most={limits.storage.quota} say={bytes} />
          )}
          <StorageNote />
        </>
      )}
      <Text size="xs" c="dimmed">
        Days begin at midnight, UTC.
      </Text>
    </Stack>
  );
}
