import { parseMarkdownIntoBlocks } from 'streamdown';
import { expect, it, vi } from 'vitest';
import { makeSplitter, withDollars } from './blocks';

vi.mock('streamdown', async (original) => {
  const real = await original<typeof import('streamdown')>();
  return { ...real, parseMarkdownIntoBlocks: vi.fn(real.parseMarkdownIntoBlocks) };
});

const text = [
  '# Title with $x^2$',
  'It costs $5 and $6, or \\(a_1 + b\\) of **both**, [a link](https://a.b/?q=$1) and `$HOME`.',
  '\\[\na\n- b\n\n+ \\frac{c}{d}\n\\]',
  '- one\n- two $y$\n  ```sh\n  echo $A $B\n  ```',
  '```go\nfunc main() { "$" }\n\n// \\(not\\)\n```',
  '| a | $b$ |\n|---|---|\n| $1 | $2 |',
  '$$\n\\sum_i x_i\n$$',
  'Half \\(of\n\nnothing, and $HOME is a folder.',
  'The end.',
].join('\n\n');

const prefixes = function* (of: string) {
  for (let i = 1; i <= of.length; i++) yield of.slice(0, i);
};
const formulas = /\$\$[^$]+\$\$|(?<!\\)\$[^$]+(?<!\\)\$|```[\s\S]*?(?:```|$)|`[^`]*`|\]\([^)]*\)/g;

it.each(['\n', '\r\n'])('splits a growing text as it splits the whole, lines end with %j', (end) => {
  const grown = makeSplitter(true);
  for (const prefix of prefixes(text.replaceAll('\n', end))) expect(grown(prefix)).toEqual(makeSplitter(true)(prefix));
  expect(makeSplitter(false)(text.replaceAll('\n', end))).toEqual(makeSplitter(false)(text));
});

it('shows no half formula of any prefix', () => {
  const grown = makeSplitter(true);
  for (const prefix of prefixes(text)) {
    const rest = grown(prefix).join('').replace(formulas, '');
    expect(rest).not.toMatch(/\\frac|\\sum|\\\[|(?<!\\)\$|\\\((?!of\n\n)|\\$/);
  }
});

it('shows a number that is all there is', () => {
  expect(makeSplitter(true)('42').join('')).toBe('42');
});

it('parses only the last blocks again when formulas close', () => {
  const parse = vi.mocked(parseMarkdownIntoBlocks).mockClear();
  const grown = makeSplitter(true);
  for (const prefix of prefixes('Let \\(x\\) cost $5.\r\n\r\n\\[\r\nx\r\n\\]\r\n\r\n'.repeat(20))) grown(prefix);
  expect(Math.max(...parse.mock.calls.map(([part]) => part.length))).toBeLessThan(100);
});

it('starts over when the text is another one', () => {
  const split = makeSplitter(true);
  split(text);
  expect(split('Something else').join('')).toBe('Something else');
});

it('heals what has half arrived', () => {
  expect(makeSplitter(true)('some **bold').join('')).toBe('some **bold**');
});

it.each([
  ['\\(x\\) and \\[y\\] but `\\(z\\)`', '$x$ and $$y$$ but `\\(z\\)`'],
  ['It costs $5 and $6', 'It costs \\$5 and \\$6'],
  ['$20,000 and $30,000, but $x$', '\\$20,000 and \\$30,000, but $x$'],
  ['$ x$, $x $ and US$', '\\$ x\\$, \\$x \\$ and US\\$'],
  ['Put it in $HOME:$PATH, not $A_B/$C, the $n$th', 'Put it in \\$HOME:\\$PATH, not \\$A_B/\\$C, the $n$th'],
  ['\\(\\text{for } \\$5\\)', '$$\\text{for } \\$5$$'],
  ['```sh\necho $A$B\n```\n$a$b', '```sh\necho $A$B\n```\n$a$b'],
  ['- ~~~\n  $5 and $6\n  ~~~\n- $5', '- ~~~\n  $5 and $6\n  ~~~\n- \\$5'],
  ['    echo $A $B', '    echo $A $B'],
  ['<p>\n$5 and $6\n</p>', '<p>\n$5 and $6\n</p>'],
  ['\\$5, \\\\(x', '\\$5, \\\\(x'],
])('writes the formulas of %j', (given, want) => {
  expect(withDollars(given, false)).toBe(want);
});

it.each([
  ['so $\\frac{a}{b', 'so '],
  ['so \\(x', 'so '],
  ['so \\[x', 'so '],
  ['so $$x', 'so '],
  ['so $$x$', 'so '],
  ['so \\', 'so '],
  ['`$x', '`$x'],
  ['for $5', 'for \\$5'],
  ['$HOME is the folder', '\\$HOME is the folder'],
])('leaves out what may become a formula: %j', (given, want) => {
  expect(withDollars(given, true)).toBe(want);
});
