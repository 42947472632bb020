import { useMemo, useRef, useState } from 'react';
import type { ModelPicking } from '../shared/pickModel';

/** The state of the model picker, which a person or a failed answer may open. */
export function useModelPicking(choose: (model: string) => void) {
  const [picking, setPicking] = useState(false);
  const then = useRef<(model: string) => void>(undefined);
  const chosen = useRef(choose);
  chosen.current = choose;
  const pick: ModelPicking = useMemo(
    () => ({
      open(next) {
        then.current = next;
        setPicking(true);
      },
      choose: (model) => chosen.current(model),
    }),
    [],
  );
  return {
    pick,
    picking,
    onPicking(open: boolean) {
      if (!open) then.current = undefined;
      setPicking(open);
    },
    onPick(model: string) {
      chosen.current(model);
      then.current?.(model);
      then.current = undefined;
    },
  };
}
