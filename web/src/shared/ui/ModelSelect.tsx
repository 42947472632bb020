import { Select, type SelectProps } from '@mantine/core';
import type { Model } from '../protocol';

/** A model as a field of a form; empty for none. */
export function ModelSelect({ models, ...props }: Omit<SelectProps, 'data'> & { models: Model[] }) {
  const groups = [...Map.groupBy(models, (m) => m.provider)].map(([group, items]) => ({
    group,
    items: items.map((m) => ({ value: m.id, label: m.name })),
  }));
  return (
    <Select data={groups} searchable clearable size="md" nothingFoundMessage="No model is called so." {...props} />
  );
}
