import remend from 'remend';
import { parseMarkdownIntoBlocks } from 'streamdown';

/** Turns \( \) and \[ \] into the dollars that the parser knows, outside of code. */
export function dollars(text: string): string {
  if (!text.includes('\\(') && !text.includes('\\[')) return text;
  return text
    .split(/(```[\s\S]*?(?:```|$)|`[^`\n]*`)/)
    .map((part, i) =>
      i % 2
        ? part
        : part
            .replace(/\\\[([\s\S]+?)\\\]/g, (_, formula) => `$$${formula}$$`)
            .replace(/\\\(([\s\S]+?)\\\)/g, (_, formula) => `$${formula}$`),
    )
    .join('');
}

/**
 * Splits a growing text into blocks, and parses only what may have changed: all but the last two blocks of the text
 * before are kept. The last block is healed, so that half-arrived syntax never shows raw.
 */
export function makeSplitter(): (text: string) => string[] {
  let before = '';
  let blocks: string[] = [];
  return (text) => {
    const keep = text.startsWith(before) ? Math.max(0, blocks.length - 2) : 0;
    const kept = blocks.slice(0, keep);
    const done = kept.reduce((n, block) => n + block.length, 0);
    blocks = [...kept, ...parseMarkdownIntoBlocks(text.slice(done))];
    before = text;
    const last = blocks.at(-1);
    return last === undefined ? blocks : [...blocks.slice(0, -1), remend(last)];
  };
}
