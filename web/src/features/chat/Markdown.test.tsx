import { render } from '@testing-library/react';
import { expect, it } from 'vitest';
import { Markdown } from './Markdown';

it('shows prices as text and formulas as formulas', () => {
  const { container } = render(<Markdown text="It costs $5 and $6, and $x^2$ or \(y\)." streaming={false} />);
  expect(container.querySelectorAll('.katex')).toHaveLength(2);
  expect(container.textContent).toContain('It costs $5 and $6, and');
});

it('grows with neither raw formulas nor repeated lines', () => {
  const text = 'One line.\r\n\r\nSo \\(\\frac{a}{b}\\) and\r\n\r\n\\[\r\n\\sum x\r\n\\]\r\n\r\nthe last.\r\n\r\nEnd';
  const { container, rerender } = render(<Markdown text="" streaming />);
  for (let i = 1; i <= text.length; i++) {
    rerender(<Markdown text={text.slice(0, i)} streaming />);
    const shown = [...container.querySelectorAll('p')].map((p) => p.cloneNode(true) as Element);
    for (const p of shown) for (const formula of p.querySelectorAll('.katex')) formula.remove();
    const words = shown.map((p) => p.textContent).join(' ');
    expect(words).not.toMatch(/\\|\$|frac|sum|One.*One|the last.*the last/);
  }
  expect(container.querySelectorAll('.katex')).toHaveLength(2);
});
