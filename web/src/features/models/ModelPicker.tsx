import { Select } from '@mantine/core';
import { useAppSelector } from '../../app/hooks';

/** Chooses among the models, grouped by provider. */
export function ModelPicker({ value, onChange }: { value: string; onChange: (model: string) => void }) {
  const models = useAppSelector((state) => state.models.items);
  const groups = [...new Set(models.map((m) => m.provider))].map((group) => ({
    group,
    items: models.filter((m) => m.provider === group).map((m) => ({ value: m.id, label: m.name })),
  }));
  return (
    <Select
      aria-label="Model"
      data={groups}
      value={value || null}
      onChange={(v) => v && onChange(v)}
      searchable={models.length > 6}
      allowDeselect={false}
      variant="unstyled"
      placeholder="Choose a model"
      w={{ base: 190, sm: 300 }}
      styles={{ input: { fontWeight: 600, fontSize: 16, textOverflow: 'ellipsis' } }}
      comboboxProps={{ width: 300, position: 'bottom-start' }}
    />
  );
}
