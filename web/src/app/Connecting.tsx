import { Center, Loader, Text } from '@mantine/core';
import { useEffect, useState } from 'react';

/** Stands where the page will be, and says so once that takes a while. */
export function Connecting() {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 1500);
    return () => clearTimeout(timer);
  }, []);
  if (!late) return null;
  return (
    <Center h="100dvh" role="status">
      <Loader size="sm" mr="sm" aria-hidden />
      <Text>The server cannot be reached. Trying again…</Text>
    </Center>
  );
}
