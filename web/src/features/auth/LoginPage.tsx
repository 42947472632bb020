import { Alert, Button, Paper, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useState } from 'react';
import { logIn } from '../../shared/authSlice';
import { useAppDispatch, useSharedSelector } from '../../shared/hooks';
import { Screen } from '../../shared/ui/Screen';

export function LoginPage() {
  const dispatch = useAppDispatch();
  const { busy, error } = useSharedSelector((state) => state.auth);
  const [register, setRegister] = useState(false);
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  return (
    <Screen centred>
      <Paper withBorder shadow="sm" radius="lg" p="xl" w={380}>
        <form
          onSubmit={(e) => {
            e.preventDefault();
            dispatch(logIn({ username, password, register }));
          }}
        >
          <Stack>
            <Title order={1} size="h2">
              OmniChat
            </Title>
            <Text c="dimmed" size="sm">
              {register ? 'Make an account on this server.' : 'Log in to your account.'}
            </Text>
            {error && (
              <Alert color="red" role="alert">
                {error}
              </Alert>
            )}
            <TextInput
              label="Username"
              size="md"
              required
              autoComplete="username"
              value={username}
              onChange={(e) => setUsername(e.currentTarget.value)}
            />
            <PasswordInput
              label="Password"
              size="md"
              required
              autoComplete={register ? 'new-password' : 'current-password'}
              minLength={register ? 8 : undefined}
              value={password}
              onChange={(e) => setPassword(e.currentTarget.value)}
            />
            <Button type="submit" size="md" loading={busy}>
              {register ? 'Register' : 'Log in'}
            </Button>
            <Button variant="subtle" size="sm" onClick={() => setRegister(!register)}>
              {register ? 'I have an account' : 'Make an account'}
            </Button>
          </Stack>
        </form>
      </Paper>
    </Screen>
  );
}
