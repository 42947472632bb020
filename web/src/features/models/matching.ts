import type { Model } from '../../shared/protocol';

/** The models in which every word of a query occurs. */
export function matching(models: Model[], query: string): Model[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return models.filter((m) => {
    const text = `${m.id} ${m.name}`.toLowerCase();
    return words.every((w) => text.includes(w));
  });
}

/** Models by provider, in the order they came. */
export const grouped = (models: Model[]): [string, Model[]][] => [...Map.groupBy(models, (m) => m.provider)];
