import { Alert, Button, Group, Skeleton, Stack, Text, Textarea } from '@mantine/core';
import { useState } from 'react';
import { useAppDispatch } from '../../shared/hooks';
import type { UserSettings } from '../../shared/protocol';
import { ModelSelect } from '../../shared/ui/ModelSelect';
import { useSettingsSelector } from './hooks';
import { saveSettings } from './settingsSlice';
import { useSave } from './useSave';

function Form({ mine }: { mine: UserSettings }) {
  const dispatch = useAppDispatch();
  const models = useSettingsSelector((state) => state.models.items);
  const [prompt, setPrompt] = useState(mine.system_prompt);
  const [fallback, setFallback] = useState(mine.fallback_model);
  const { saving, save, errorOf, otherError } = useSave();
  const changed = prompt !== mine.system_prompt || fallback !== mine.fallback_model;
  const [saved, setSaved] = useState(false);
  const other = otherError('system_prompt', 'fallback_model');
  return (
    <form
      onSubmit={async (e) => {
        e.preventDefault();
        setSaved(await save(dispatch(saveSettings({ system_prompt: prompt, fallback_model: fallback }))));
      }}
    >
      <Stack maw={640}>
        {other && (
          <Alert color="red" role="alert">
            {other}
          </Alert>
        )}
        <Textarea
          label="System prompt"
          description="For all chats that have none of their own: who you are, how you want to be answered."
          autosize
          minRows={4}
          maxRows={14}
          size="md"
          maxLength={100_000}
          value={prompt}
          onChange={(e) => setPrompt(e.currentTarget.value)}
          error={errorOf('system_prompt')}
        />
        <ModelSelect
          models={models}
          label="Second model"
          description="Asked when the chosen model fails before its first word. The answer says so."
          placeholder="None"
          value={fallback || null}
          onChange={(v) => setFallback(v ?? '')}
          error={errorOf('fallback_model')}
        />
        <Group>
          <Button type="submit" size="md" loading={saving} disabled={!changed}>
            Save
          </Button>
          <Text size="sm" c="dimmed" role="status">
            {saved && !changed ? 'Saved.' : ''}
          </Text>
        </Group>
      </Stack>
    </form>
  );
}

/** What a user sets for all of their chats. */
export function Defaults() {
  const mine = useSettingsSelector((state) => state.settings.mine);
  return mine ? <Form mine={mine} /> : <Skeleton h={300} maw={640} />;
}
