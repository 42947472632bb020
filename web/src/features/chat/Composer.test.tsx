import { MantineProvider } from '@mantine/core';
import { fireEvent, render, screen } from '@testing-library/react';
import { Provider } from 'react-redux';
import { beforeEach, expect, it, vi } from 'vitest';
import { makeStore } from '../../app/store';
import { Api } from '../../shared/api';
import { Composer } from './Composer';

beforeEach(() => sessionStorage.clear());

it('sends with Enter, but not with one that ends a composition', () => {
  const onSend = vi.fn();
  render(
    <Provider store={makeStore(new Api(''))}>
      <MantineProvider>
        <Composer session="s" model="m" input={{ current: null }} streaming={false} onSend={onSend} onStop={() => {}} />
      </MantineProvider>
    </Provider>,
  );
  const input = screen.getByRole('textbox', { name: 'Message' });
  fireEvent.change(input, { target: { value: '日本' } });
  fireEvent.keyDown(input, { key: 'Enter', isComposing: true });
  fireEvent.keyDown(input, { key: 'Enter', keyCode: 229 }); // Safari
  expect(onSend).not.toHaveBeenCalled();
  fireEvent.keyDown(input, { key: 'Enter', keyCode: 13 });
  expect(onSend).toHaveBeenCalledWith('日本', []);
});
