import type { Model } from '../../shared/protocol';
import { searchForm } from '../../shared/searchForm';

/** The models in which every word of a query occurs. */
export function matching(models: Model[], query: string): Model[] {
  const words = searchForm(query).split(/\s+/).filter(Boolean);
  return models.filter((m) => {
    const text = searchForm(`${m.id} ${m.name}`);
    return words.every((w) => text.includes(w));
  });
}

/** Models by provider, in the order they came. */
export const grouped = (models: Model[]): [string, Model[]][] => [...Map.groupBy(models, (m) => m.provider)];
