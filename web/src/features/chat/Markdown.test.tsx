import { MantineProvider } from '@mantine/core';
import { render as renderBare } from '@testing-library/react';
import type { ReactNode } from 'react';
import { expect, it } from 'vitest';
import { Markdown } from './Markdown';

const render = (ui: ReactNode) => renderBare(ui, { wrapper: MantineProvider });

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

it('shows only what stays, whatever has half arrived', () => {
  const text = [
    'Hello! It is 1 < 2, and 2 * 3.',
    '```go\na[i] = "x"\n```',
    '- one `x` **b** *i* ~~s~~',
    '1. a\n2. b',
    '## Head\n\n> quote',
    '| a | b |\n|---|:-:|\n| 1 | 2 |',
    'A [link](https://a.b/), an ![image](https://a.b/c.png) and <b>x</b>.',
    '---',
    '* * *',
    '~~~sh\ny\n~~~',
    '42\n\nThe end.',
  ].join('\n\n');
  const { container, rerender } = render(<Markdown text={text} streaming={false} />);
  const shown = () => {
    const all = container.querySelector('[class*=markdown]')?.cloneNode(true) as Element;
    for (const caption of all.querySelectorAll('figcaption')) caption.remove();
    return (all.textContent ?? '').replace(/\s/g, '');
  };
  const end = shown();
  expect(end).toBe('Hello!Itis1<2,and2*3.a[i]="x"onexbisabHeadquoteab12Alink,animageandx.y42Theend.');
  for (let i = 1; i <= text.length; i++) {
    rerender(<Markdown text={text.slice(0, i)} streaming />);
    expect(end.startsWith(shown()), `${JSON.stringify(text.slice(0, i))} shows ${shown()}`).toBe(true);
  }
}, 60_000);

it('colours a code block only once its fence has closed', () => {
  const open = 'So:\n\n```go\nfunc main() {}\n';
  const { container, rerender } = render(<Markdown text={open} streaming />);
  const code = container.querySelector('pre code');
  expect(code?.textContent).toBe('func main() {}');
  expect(container.querySelector('.hljs')).toBeNull();
  rerender(<Markdown text={`${open}// more\n`} streaming />);
  expect(container.querySelector('pre code')).toBe(code); // what is selected stays so
  expect(container.querySelector('.hljs')).toBeNull();
  rerender(<Markdown text={`${open}\`\`\`\n`} streaming />);
  expect(container.querySelector('.hljs-keyword')?.textContent).toBe('func');
});

it('colours a code block whose fence never closes', () => {
  const { container, rerender } = render(<Markdown text={'```go\nfunc main() {}'} streaming />);
  const outer = container.querySelector('[class*=markdown]') as HTMLElement;
  const before = { className: outer.className, style: outer.style.cssText };
  rerender(<Markdown text={'```go\nfunc main() {}'} streaming={false} />);
  expect(container.querySelector('.hljs')).not.toBeNull();
  // Streaming adds no caret and no animation.
  expect({ className: outer.className, style: outer.style.cssText }).toEqual(before);
});

it('fetches no image, but links to it', () => {
  const text = [
    '![a cat](https://evil.test/cat.png?q=1) and ![](https://evil.test/none.png)',
    '![alone](https://evil.test/alone.png)',
    '[![badge](https://evil.test/badge.svg)](https://a.test/)',
    '<img src="https://evil.test/raw.png" alt="raw"> <picture><source srcset="https://evil.test/set.png"></picture>',
    '<table background="https://evil.test/back.png"><tr><td style="background: url(https://evil.test/s.png)">x</td></tr></table>',
    'half ![way](https://evil.te',
  ].join('\n\n');
  const { container } = render(<Markdown text={text} streaming />);
  const links = [...container.querySelectorAll('a')].map((a) => [a.textContent, a.getAttribute('href')]);
  expect(links).toEqual([
    ['a cat', 'https://evil.test/cat.png?q=1'],
    ['Image', 'https://evil.test/none.png'],
    ['alone', 'https://evil.test/alone.png'],
    ['badge', 'https://a.test/'],
    ['raw', 'https://evil.test/raw.png'],
  ]);
  expect(container.querySelector('img, [src], [background], [style*=url]')).toBeNull();
  expect(container.textContent).toContain('half way');
});
