import { Alert } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useAppSelector } from './hooks';

/** Says that the connection is lost, if it has been for two seconds. */
export function Offline() {
  const online = useAppSelector((state) => state.chat.online);
  const [late, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (online) return;
    const timer = setTimeout(() => setLate(true), 2000);
    return () => clearTimeout(timer);
  }, [online]);
  if (online || !late) return null;
  return (
    <Alert color="yellow" role="status" radius={0} py={6}>
      Reconnecting… What is being written goes on, and will be here.
    </Alert>
  );
}
