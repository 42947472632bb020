import { createContext } from 'react';

/** How what shows a problem with a model leads to another one. */
export interface ModelPicking {
  /** Lets the person choose; then is told what was chosen. */
  open(then?: (model: string) => void): void;
  choose(model: string): void;
}

export const PickModel = createContext<ModelPicking>({ open() {}, choose() {} });
