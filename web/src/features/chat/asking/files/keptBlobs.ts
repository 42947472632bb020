const KEPT = 20;
const local = new Map<string, Blob>();

/** Keeps a file that this tab uploaded, so that it need not be fetched to be shown. */
export function keepBlob(id: string, blob: Blob): void {
  local.set(id, blob);
  const oldest = local.keys().next().value;
  if (local.size > KEPT && oldest !== undefined) local.delete(oldest);
}

export const keptBlob = (id: string): Blob | undefined => local.get(id);

export function forgetBlobs(): void {
  local.clear();
}
