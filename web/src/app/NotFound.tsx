import { Button, Stack, Text, Title } from '@mantine/core';
import { useEffect } from 'react';
import { Link } from 'react-router';
import { Screen } from '../shared/ui/Screen';

/** Shown at an address that has no page. */
export function NotFound() {
  useEffect(() => {
    document.title = 'Not found · OmniChat';
  }, []);
  return (
    <Screen centred>
      <Stack align="center">
        <Title order={1} size="h3" ta="center">
          This page was not found
        </Title>
        <Text ta="center">The address may be mistyped, or what was here is gone.</Text>
        <Button component={Link} to="/">
          To your chats
        </Button>
      </Stack>
    </Screen>
  );
}
