import remend from 'remend';
import { withDollars } from './formulas';
import { type Block, split } from './splitBlocks';
import { withoutUnfinished } from './unfinished';

export { withDollars };

const healing = { comparisonOperators: false, htmlTags: false, setextHeadings: false, singleTilde: false };

/** What the parser is given of the last block of a growing text. */
function growing(block: Block, only: boolean): string {
  const text = withoutUnfinished(block.text, block.open, only);
  if (block.open) return text;
  const written = withDollars(text, true);
  const words = written.trimEnd();
  return remend(words, healing) + written.slice(words.length);
}

/** Whether a text still grows; broken off, it ends somewhere in the middle, and is as it is. */
export type Growth = 'growing' | 'whole' | 'broken off';

const emphasis = { ...healing, links: false, images: false, katex: false };

/** The last block of a text that has broken off: emphasis and code are closed where it ends, all words are shown. */
function brokenOff(block: Block): string {
  const text = withDollars(block.text, false);
  if (block.open) return text;
  const words = text.trimEnd().replace(/(?<=^|\s)[*_~`]+$/, '');
  return remend(words.trimEnd(), emphasis);
}

/**
 * Splits a growing text into blocks, and parses only what may have changed: all but the last two blocks of the text
 * before are kept. The last block is healed, so that half-arrived syntax never shows raw.
 */
export function makeSplitter(growth: Growth): (text: string) => string[] {
  const live = growth === 'growing';
  let before = '';
  let blocks: Block[] = [];
  let shown: string[] = [];
  return (given) => {
    const text = given.includes('\r') ? given.replace(/\r\n?/g, '\n') : given; // as the parser does
    const keep = text.startsWith(before) ? Math.max(0, blocks.length - 2) : 0;
    const kept = blocks.slice(0, keep);
    const done = kept.reduce((n, block) => n + block.size, 0);
    blocks = [...kept, ...split(text.slice(done), live)];
    before = text;
    const last = blocks.length - 1;
    shown = blocks.map((block, i) => {
      if (i < keep) return shown[i];
      if (i < last || growth === 'whole') return withDollars(block.text, false);
      return live ? growing(block, i === 0) : brokenOff(block);
    });
    return shown;
  };
}
