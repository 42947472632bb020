import { expect, it } from 'vitest';
import { dollars, makeSplitter } from './blocks';

const text =
  '# Title\n\nSome *text* and more.\n\n- one\n- two\n\n```go\nfunc main() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nThe end.';

it('splits a growing text as it splits the whole', () => {
  const grown = makeSplitter();
  let blocks: string[] = [];
  for (let i = 1; i <= text.length; i++) blocks = grown(text.slice(0, i));
  expect(blocks.join('')).toBe(makeSplitter()(text).join(''));
});

it('starts over when the text is another one', () => {
  const split = makeSplitter();
  split(text);
  expect(split('Something else').join('')).toBe('Something else');
});

it('heals what has half arrived', () => {
  expect(makeSplitter()('some **bold').join('')).toBe('some **bold**');
});

it('turns bracketed formulas into dollars, but not in code', () => {
  expect(dollars('\\(x\\) and \\[y\\] but `\\(z\\)`')).toBe('$x$ and $$y$$ but `\\(z\\)`');
});
