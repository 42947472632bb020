import { Alert, Button, Group, Modal, NumberInput, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useAppDispatch } from '../../shared/hooks';
import type { ModelPrice } from '../../shared/protocol';
import { putPrice } from './settingsSlice';
import { useSave } from './useSave';

interface Props {
  /** undefined for a new one. */
  price: ModelPrice | undefined;
  onClose: () => void;
}

function Form({ price, onClose }: Props) {
  const dispatch = useAppDispatch();
  const [model, setModel] = useState(price?.model ?? '');
  const [input, setInput] = useState<string | number>(price?.input ?? '');
  const [cached, setCached] = useState<string | number>(price?.cached_input ?? '');
  const [output, setOutput] = useState<string | number>(price?.output ?? '');
  const { saving, save, errorOf, otherError } = useSave();
  const other = otherError('model', 'input', 'cached_input', 'output');
  const submit = async () => {
    const sent = {
      model: model.trim(),
      input: Number(input),
      cached_input: cached === '' ? Number(input) : Number(cached),
      output: Number(output),
    };
    if (!(await save(dispatch(putPrice(sent))))) return;
    onClose();
  };
  const common = { size: 'md', min: 0, step: 0.1, prefix: '$', decimalScale: 6 } as const;
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        submit();
      }}
    >
      <Stack>
        {other && (
          <Alert color="red" role="alert">
            {other}
          </Alert>
        )}
        <TextInput
          label="Model"
          description="A model's name or how it begins; or provider/model"
          required
          size="md"
          disabled={price !== undefined}
          value={model}
          onChange={(e) => setModel(e.currentTarget.value)}
          error={errorOf('model')}
        />
        <NumberInput
          {...common}
          label="Input"
          description="US dollars for a million tokens"
          required
          value={input}
          onChange={setInput}
          error={errorOf('input')}
        />
        <NumberInput
          {...common}
          label="Cached input"
          description="Read from the provider's cache. Empty: as input"
          value={cached}
          onChange={setCached}
          error={errorOf('cached_input')}
        />
        <NumberInput
          {...common}
          label="Output"
          required
          value={output}
          onChange={setOutput}
          error={errorOf('output')}
        />
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

/** Sets what a model costs. */
export function PriceForm({ opened, ...props }: Props & { opened: boolean }) {
  return (
    <Modal
      opened={opened}
      onClose={props.onClose}
      title={props.price ? `Price of ${props.price.model}` : 'Add a price'}
    >
      <Form {...props} />
    </Modal>
  );
}
