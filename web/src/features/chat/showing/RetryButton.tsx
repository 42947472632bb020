import { Button } from '@mantine/core';
import { useEffect, useState } from 'react';
import { duration } from '../../../shared/format';

const LONG = 15 * 60; // a wait that nobody watches

/** Retry, once the wait that the provider asked for is over. */
export function RetryButton({ at, onClick }: { at: number; onClick: () => void }) {
  const left = () => Math.ceil((at - Date.now()) / 1000);
  const [wait, setWait] = useState(left);
  const waiting = wait > 0 && wait < LONG;
  // biome-ignore lint/correctness/useExhaustiveDependencies: left is made of at
  useEffect(() => {
    setWait(left());
    if (!waiting) return;
    const timer = setInterval(() => setWait(left()), 500);
    return () => clearInterval(timer);
  }, [at, waiting]);
  return (
    <Button size="xs" variant="default" miw={96} disabled={waiting} onClick={onClick}>
      {waiting ? `Retry in ${duration(wait)}` : 'Retry'}
    </Button>
  );
}
