import { act, renderHook } from '@testing-library/react';
import { afterEach, expect, it, vi } from 'vitest';
import { useCopy } from './useCopy';

const setClipboard = (value: unknown) => Object.defineProperty(navigator, 'clipboard', { value, configurable: true });
afterEach(() => {
  setClipboard(undefined);
  vi.useRealTimers();
});

it('copies to the clipboard, and says so for a moment', async () => {
  vi.useFakeTimers();
  const writeText = vi.fn(async () => {});
  setClipboard({ writeText });
  const { result } = renderHook(useCopy);
  await act(() => result.current.copy('a text'));
  expect(writeText).toHaveBeenCalledWith('a text');
  expect(result.current.said).toBe('Copied');
  act(() => vi.advanceTimersByTime(2000));
  expect(result.current.said).toBe('');
});

it.each([true, false])(
  'copies without a clipboard, focus stays, and it says whether that worked: %s',
  async (works) => {
    const button = document.body.appendChild(document.createElement('button'));
    button.focus();
    let selected = '';
    document.execCommand = () => {
      selected = (document.activeElement as HTMLTextAreaElement).value;
      return works;
    };
    const { result } = renderHook(useCopy);
    await act(() => result.current.copy('a text'));
    expect(selected).toBe('a text');
    expect(document.activeElement).toBe(button);
    expect(document.querySelector('textarea')).toBeNull();
    expect(result.current.said).toBe(works ? 'Copied' : 'Not copied');
    button.remove();
  },
);
