import { useState } from 'react';
import type { Refusal } from '../../shared/protocol';

type Result = { meta: { requestStatus: 'fulfilled' | 'rejected' }; payload?: unknown };

/** The state of a form that is being saved: what was refused, and at which field. */
export function useSave() {
  const [saving, setSaving] = useState(false);
  const [failure, setFailure] = useState<Refusal>();
  const save = async (what: Promise<Result>): Promise<boolean> => {
    setSaving(true);
    const result = await what;
    setSaving(false);
    const ok = result.meta.requestStatus === 'fulfilled';
    setFailure(
      ok ? undefined : ((result.payload as Refusal | undefined) ?? { code: '', detail: 'That did not work.' }),
    );
    return ok;
  };
  /** What is wrong with a field. */
  const errorOf = (field: string) => (failure?.field === field ? failure.detail : undefined);
  /** What is wrong, if it is with none of the fields that are shown. */
  const otherError = (...shown: string[]) =>
    failure && !shown.includes(failure.field ?? '') ? failure.detail : undefined;
  return { saving, save, errorOf, otherError };
}
