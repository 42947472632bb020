import { MantineProvider } from '@mantine/core';
import { fireEvent, render, screen } from '@testing-library/react';
import { Provider } from 'react-redux';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { makeStore } from '../../../app/store';
import { Api } from '../../../shared/api';
import { Composer } from './Composer';

beforeEach(() => sessionStorage.clear());
afterEach(() => {
  vi.restoreAllMocks();
});

function compose() {
  const onSend = vi.fn();
  render(
    <Provider store={makeStore(new Api(''))}>
      <MantineProvider>
        <Composer session="s" model="m" input={{ current: null }} streaming={false} onSend={onSend} onStop={() => {}} />
      </MantineProvider>
    </Provider>,
  );
  return { input: screen.getByRole('textbox', { name: 'Message' }), onSend };
}

it('sends with Enter, but not with one that ends a composition', () => {
  const { input, onSend } = compose();
  fireEvent.change(input, { target: { value: '日本' } });
  fireEvent.keyDown(input, { key: 'Enter', isComposing: true });
  fireEvent.keyDown(input, { key: 'Enter', keyCode: 229 }); // Safari
  expect(onSend).not.toHaveBeenCalled();
  fireEvent.keyDown(input, { key: 'Enter', keyCode: 13 });
  expect(onSend).toHaveBeenCalledWith('日本', []);
});

it('makes a new line with Enter where a finger points, and sends with the button', () => {
  const real = window.matchMedia;
  vi.spyOn(window, 'matchMedia').mockImplementation((query) => ({
    ...real(query),
    matches: query === '(pointer: coarse)',
  }));
  const { input, onSend } = compose();
  expect(input.getAttribute('enterkeyhint')).toBe('enter');
  expect(input.getAttribute('dir')).toBe('auto');
  fireEvent.change(input, { target: { value: 'a\nb' } });
  expect(fireEvent.keyDown(input, { key: 'Enter' })).toBe(true); // the browser breaks the line
  expect(onSend).not.toHaveBeenCalled();
  fireEvent.click(screen.getByRole('button', { name: 'Send' }));
  expect(onSend).toHaveBeenCalledWith('a\nb', []);
});
