import { Group, Loader, Text, VisuallyHidden } from '@mantine/core';
import { useEffect, useState } from 'react';
import { Screen } from '../shared/ui/Screen';

/** Shown until it is known whether somebody is logged in. After a while it says why that takes long. */
export function Connecting() {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 1500);
    return () => clearTimeout(timer);
  }, []);
  if (!late) return null;
  return (
    <Screen centred>
      <VisuallyHidden component="h1">OmniChat</VisuallyHidden>
      <Group role="status" gap="sm">
        <Loader size="sm" aria-hidden />
        <Text>The server cannot be reached. Trying again…</Text>
      </Group>
    </Screen>
  );
}
