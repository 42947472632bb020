import { Button, Stack, Text, Title } from '@mantine/core';
import { Screen } from '../shared/ui/Screen';

/** Shown in place of the page when it fails. */
export function Broken() {
  return (
    <Screen centred>
      <Stack align="center" role="alert">
        <Title order={1} size="h3" ta="center">
          Something went wrong on this page
        </Title>
        <Text ta="center">Your chats are safe on the server. Load the page again to go on.</Text>
        <Button onClick={() => location.reload()}>Reload</Button>
      </Stack>
    </Screen>
  );
}
