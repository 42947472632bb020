import { Alert, Button, Group, Modal, NumberInput, Select, Stack, Textarea } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useAppDispatch } from '../../shared/hooks';
import type { Refusal, Session, SessionSettings as Settings } from '../../shared/protocol';
import { newChatSettingsChanged, updateSession } from './sessionsSlice';

interface Props {
  /** undefined: the settings are for the session that the next question opens. */
  session: Session | undefined;
  newChatSettings: Partial<Settings>;
  /** Whether the model takes a reasoning effort. */
  reasoning: boolean;
  onClose: () => void;
}

const number = (v: string | number): number | null => (v === '' ? null : Number(v));

function Form({ session, newChatSettings, reasoning, onClose }: Props) {
  const dispatch = useAppDispatch();
  const was = session ?? newChatSettings;
  const [prompt, setPrompt] = useState(was.system_prompt ?? '');
  const [temperature, setTemperature] = useState<string | number>(was.temperature ?? '');
  const [tokens, setTokens] = useState<string | number>(was.max_tokens ?? '');
  const [effort, setEffort] = useState(was.reasoning_effort ?? '');
  const [failure, setFailure] = useState<Refusal>();
  const [saving, setSaving] = useState(false);
  const errorOf = (field: string) => (failure?.field === field ? failure.detail : undefined);

  const save = async () => {
    const patch: Settings = {
      system_prompt: prompt,
      temperature: number(temperature),
      max_tokens: number(tokens),
      reasoning_effort: effort,
    };
    if (!session) {
      const set = Object.entries(patch).filter(([, v]) => v !== null && v !== '');
      dispatch(newChatSettingsChanged(Object.fromEntries(set)));
      onClose();
      return;
    }
    setSaving(true);
    const done = await dispatch(updateSession({ id: session.id, patch }));
    setSaving(false);
    if (updateSession.rejected.match(done)) setFailure(done.payload);
    else onClose();
  };

  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        save();
      }}
    >
      <Stack>
        {failure && !failure.field && (
          <Alert color="red" role="alert">
            {failure.detail}
          </Alert>
        )}
        <Textarea
          label="System prompt"
          description="What the model should know and how it should answer, in this chat. Empty: your default."
          autosize
          minRows={3}
          maxRows={10}
          size="md"
          data-autofocus
          maxLength={100_000}
          value={prompt}
          onChange={(e) => setPrompt(e.currentTarget.value)}
          error={errorOf('system_prompt')}
        />
        <Group grow align="flex-start">
          <NumberInput
            label="Temperature"
            description="0 is sober, 2 is wild"
            placeholder="The model's own"
            size="md"
            min={0}
            max={2}
            step={0.1}
            decimalScale={2}
            value={temperature}
            onChange={setTemperature}
            error={errorOf('temperature')}
          />
          <NumberInput
            label="Longest answer"
            description="In tokens"
            placeholder="The model's own"
            size="md"
            min={1}
            step={256}
            allowDecimal={false}
            value={tokens}
            onChange={setTokens}
            error={errorOf('max_tokens')}
          />
        </Group>
        {(reasoning || was.reasoning_effort) && (
          <Select
            label="Reasoning effort"
            description={
              reasoning
                ? 'How long the model thinks before it answers'
                : 'It has no effect on this model, which is not known to think'
            }
            size="md"
            allowDeselect={false}
            data={[
              { value: '', label: "The model's own" },
              { value: 'off', label: 'Off' },
              { value: 'low', label: 'Low' },
              { value: 'medium', label: 'Medium' },
              { value: 'high', label: 'High' },
            ]}
            value={effort}
            onChange={(v) => setEffort(v ?? '')}
            error={errorOf('reasoning_effort')}
          />
        )}
        <Group justify="flex-end">
          <Button variant="default" size="md" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" size="md" loading={saving}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

/** What is set for one chat. */
export function SessionSettings({ opened, ...props }: Props & { opened: boolean }) {
  const [shown, setShown] = useState(false); // Mantine returns the focus only if the dialog was rendered closed before it was opened
  useEffect(() => setShown(opened), [opened]);
  return (
    <Modal opened={shown} onClose={props.onClose} title="Chat settings" size="lg">
      <Form {...props} />
    </Modal>
  );
}
