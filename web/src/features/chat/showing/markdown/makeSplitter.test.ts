import { expect, it, vi } from 'vitest';
import { makeSplitter, withDollars } from './makeSplitter';
import { split } from './splitBlocks';

vi.mock('./splitBlocks', async (original) => {
  const real = await original<typeof import('./splitBlocks')>();
  return { ...real, split: vi.fn(real.split) };
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

const nested = '```markdown\n# T\n\n```js\nlet x\n```\n\n~~~\n```\n~~~\n```sh\ny\n```\n```\n\nAfter **it**';

const prefixes = function* (of: string) {
  for (let i = 1; i <= of.length; i++) yield of.slice(0, i);
};
const formulas = /\$\$[^$]+\$\$|(?<!\\)\$[^$]+(?<!\\)\$|```[\s\S]*?(?:```|$)|`[^`]*`|\]\([^)]*\)/g;

it.each(['\n', '\r\n'])('splits a growing text as it splits the whole, lines end with %j', (end) => {
  const grown = makeSplitter('growing');
  for (const prefix of prefixes(text.replaceAll('\n', end)))
    expect(grown(prefix)).toEqual(makeSplitter('growing')(prefix));
  expect(makeSplitter('whole')(text.replaceAll('\n', end))).toEqual(makeSplitter('whole')(text));
});

it('shows no half formula of any prefix', () => {
  const grown = makeSplitter('growing');
  for (const prefix of prefixes(text)) {
    const rest = grown(prefix).join('').replace(formulas, '');
    expect(rest).not.toMatch(/\\frac|\\sum|\\\[|(?<!\\)\$|\\\((?!of\n\n)|\\$/);
  }
});

it('shows a number that is all there is', () => {
  expect(makeSplitter('growing')('42').join('')).toBe('42');
});

it.each([
  ['formulas close', 'Let \\(x\\) cost $5.\r\n\r\n\\[\r\nx\r\n\\]\r\n\r\n'],
  ['no line is blank', '## Head\n| a | b |\n|---|---|\n| 1 | 2 |\n```sh\nx\n```\n- one\n- two\n'],
  ['code has code in it', '```md\n```sh\nx\n```\n```\n<T>\n\n<details>\n\nx\n\n</details>\n'],
])('parses only the last blocks again when %s', (_, part) => {
  const parse = vi.mocked(split).mockClear();
  const grown = makeSplitter('growing');
  for (const prefix of prefixes(part.repeat(20))) grown(prefix);
  expect(Math.max(...parse.mock.calls.map(([text]) => text.length))).toBeLessThan(2.5 * part.length);
});

it('splits a text into pieces of it', () => {
  for (const prefix of prefixes(`${text}\n\n${nested}`))
    for (const live of [true, false])
      expect(split(prefix, live).reduce((n, block) => n + block.size, 0)).toBe(prefix.length);
});

it.each([
  ['closed by the outer one', nested, 2],
  ['tildes', '~~~md\n~~~sh\nx\n~~~\n~~~\nafter', 2],
  ['of which the outer one is longer', '````md\n```sh\nx\n```\n````\nafter', 2],
  ['one in another', '```md\n```md\n```sh\nx\n```\n```\n```\nafter', 2],
  ['in a list', '1. one\n   ```md\n   ```sh\n   x\n   ```\n   ```\n2. two', 1],
  ['not of Markdown', '```js\na\n```\n```py\nb\n```\nafter', 3],
  ['never closed by the outer one', '```md\n```sh\nx\n```\n\nafter', 2],
])('splits behind fences in a fence: %s', (_, given, count) => {
  const blocks = split(given, false);
  expect(blocks).toHaveLength(count);
  expect(blocks.at(-1)).toMatchObject({ open: false });
  expect(blocks.at(-1)?.text).toMatch(/^(?:after|1\. one)/i);
});

it('closes no fence of Markdown that may be one in it', () => {
  const until = nested.indexOf('```\n\nAfter');
  for (let i = nested.indexOf('\n') + 1; i <= until + 3; i++)
    expect(split(nested.slice(0, i), true), nested.slice(0, i)).toMatchObject([{ open: true }]);
});

it('starts over when the text is another one', () => {
  const split = makeSplitter('growing');
  split(text);
  expect(split('Something else').join('')).toBe('Something else');
});

it('heals what has half arrived', () => {
  expect(makeSplitter('growing')('some **bold').join('')).toBe('some **bold**');
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
  ['as shown \\[1\\], \\[2, 3\\], \\[^4\\]', 'as shown &#91;1\\], &#91;2, 3\\], &#91;^4\\]'],
  ['- \\[x\\] done, a\\[i\\], \\[see there\\]', '- &#91;x\\] done, a&#91;i\\], &#91;see there\\]'],
  [
    'C:\\(x86\\), Files \\(x86\\), f\\(x\\), \\(optional\\)',
    'C:\\\\(x86\\\\), Files \\(x86\\), f\\(x\\), \\(optional\\)',
  ],
  ['run $1 $2 "$@" $# $? $!', 'run \\$1 \\$2 "\\$@" \\$# \\$? \\$!'],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's
  ['"$a" "$b", $a/$b, ${A}/${B}, $(a)/$(b)', '"\\$a" "\\$b", \\$a/\\$b, \\${A}/\\${B}, \\$(a)/\\$(b)'],
  ['$5 and 6$, $5 per month or $6, kill $$', '\\$5 and 6\\$, \\$5 per month or \\$6, kill \\$\\$'],
  ['$x$, $2\\pi$, \\(5\\), \\(AB\\), \\[x=1\\]', '$x$, $2\\pi$, $5$, $AB$, $$x=1$$'],
  ['\\[\na + b\n\\]', '$$\na + b\n$$'],
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
  ['as shown \\[1', 'as shown '],
  ['"$@', '"\\$@'],
])('leaves out what may become a formula: %j', (given, want) => {
  expect(withDollars(given, true)).toBe(want);
});

it.each([
  ['That is **important', 'That is **important**'],
  ['That is **important*', 'That is **important**'],
  ['That is **', 'That is'],
  ['One.\n\n- two\n- *three', 'One.\n\n- two\n- *three*'],
  ['Run `make', 'Run `make`'],
  ['See [the page](https://exa', 'See [the page](https://exa'],
  ['| a | b', '| a | b'],
  ['It is 2 * 3 = 6.', 'It is 2 * 3 = 6.'],
  ['snake_case and 5 \\*', 'snake_case and 5 \\*'],
  ['```js\nlet a = "**', '```js\nlet a = "**'],
])('shows no raw emphasis at the end of what broke off, and all of its words: %j', (text, shown) => {
  expect(makeSplitter('broken off')(text).join('')).toBe(shown);
});
