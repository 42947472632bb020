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

/**
 * Splits a growing text into blocks, and parses only what may have changed: all but the last two blocks of the text
 * before are kept. The last block is healed, so that half-arrived syntax never shows raw.
 */
export function makeSplitter(live: boolean): (text: string) => string[] {
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
      return live && i === last ? growing(block, i === 0) : withDollars(block.text, false);
    });
    return shown;
  };
}
