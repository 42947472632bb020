import remend from 'remend';
import { parseMarkdownIntoBlocks } from 'streamdown';

/** What is copied as it is: fences, code spans, HTML, addresses, escaped characters. */
const verbatim = [
  /(?<=^|\n)(?:[ \t>]|[-*+][ \t]|\d+[.)][ \t])*(?<fence>`{3,}(?!.*`)|~{3,})[\s\S]*?(?:\n[ \t>]*\k<fence>[`~]*[ \t]*(?=\n|$)|$)/,
  /(?<!`)(?<ticks>`+)(?!`)(?:(?!\n[ \t]*\n)[\s\S])*?(?<!`)\k<ticks>(?!`)/,
  /(?<=^|\n) {0,3}<\/?(?:details|summary|div|p|table|t[dhr]|thead|tbody|[uo]l|li|center|section|h\d)\b[\s\S]*?(?:\n[ \t]*\n|$)/,
  /<[a-zA-Z/!][^<>\n]*>/,
  /https?:\/\/[^\s<>]+/,
  /\\[^([]/,
];
/** A single dollar is one by Pandoc's rule, by which prices are none; nor are a shell's variables. */
const formulas = [
  /\\\[(?<display>(?:\\[^[\]]|[^\\])+)\\\]/,
  /\\\((?<inline>(?:(?!\n[ \t]*\n)(?:\\[^()]|[^\\]))+)\\\)/,
  /\$\$[^$](?:[^$]|\$(?!\$))*\$\$/,
  /\$(?![\s$])(?![A-Z_][A-Z\d_]+[^\w\s$]?\$[A-Z_])(?<single>(?:\\[^()[\]]|(?!\n[ \t]*\n)[^$\\`])+)(?<!\s)\$(?![\d$])/,
];
/** What may become code or a formula when more arrives. */
const openings = [
  /(?<!`)`+(?!`)(?:(?!\n[ \t]*\n)[\s\S])*$/,
  /(?<opener>\$\$|\\\[)(?<rest>[\s\S]*)$/,
  /(?<opener>\\\()(?<rest>(?:(?!\n[ \t]*\n)[\s\S])*)$/,
  /(?<opener>\$)(?<rest>(?![\s$])(?:\\[^()[\]]|[^$\\`\n])*\\?)$/,
  /\\$/,
];
/** What may turn out to be syntax when more arrives: marks, a link's text, a tag, an item, a rule. */
const marks = /(?:[`*_~]+|(?<!\w)!?\[[^[\]\n]*\]|(?<!\S)!|<|(?<=\n[ \t]*)(?:--?|\d{1,3}[.)]?))$/;
/** A table of which there is no row yet. */
const head = /^[ \t]*\|[^\n]*(?:\n[ \t|:-]*)?$/;
const any = (...parts: RegExp[]) => new RegExp(parts.map((p) => p.source).join('|'), 'g');
const whole = any(...verbatim, ...formulas, /\$/);
const growing = any(...verbatim, ...formulas, ...openings, /\$/);

/** Whether what follows an opener is more likely a price or words than half a formula. */
function isProse(rest: string): boolean {
  if (/^\d[\d.,]*[kKMB]?(?![\w^\\{]|\s*[+*=<>\\^])/.test(rest)) return true;
  const words = rest.replace(/\\[a-zA-Z]+|\{[^{}]*\}?/g, '');
  return /\p{L}{2,},?\s+\p{L}{2,}\s|\p{Lo}/u.test(words);
}

/**
 * Writes every formula with the dollars that the parser knows, and escapes the dollars that are none. Of a text that
 * grows, half a formula at its end is left out.
 */
export function withDollars(text: string, live: boolean): string {
  if (!/[$\\]/.test(text) || /^(?: {4}|\t)/.test(text)) return text;
  return text.replace(live ? growing : whole, (all: string, ...found: unknown[]) => {
    const { display, inline, single, opener, rest } = found.at(-1) as Record<string, string | undefined>;
    const formula = inline ?? single;
    if (display !== undefined) return `$$${display}$$`;
    if (formula !== undefined) return formula.includes('$') ? `$$${formula}$$` : `$${formula}$`;
    if (opener !== undefined && rest !== undefined)
      return isProse(rest) ? opener.replaceAll('$', '\\$') + withDollars(rest, live) : '';
    if (all === '$') return '\\$';
    return all === '\\' ? '' : all;
  });
}

/** The last block of a growing text, without what might show raw for a moment. */
const certain = (block: string, only: boolean) =>
  (only ? block : `\n${block}`)
    .replace(marks, '')
    .slice(only ? 0 : 1)
    .replace(head, '');

/** Joins the blocks that a displayed formula goes through: the parser knows only those between dollars. */
function joined(blocks: string[]): string[] {
  const out: string[] = [];
  let open = false;
  for (const block of blocks) {
    if (open) out.push(out.pop() + block);
    else out.push(block);
    const opener = /^[ \t]*\\\[([\s\S]*)/m.exec((out.at(-1) ?? '').replace(whole, ''));
    open = opener !== null && !isProse(opener[1]);
  }
  return out;
}

/**
 * Splits a growing text into blocks, and parses only what may have changed: all but the last two blocks of the text
 * before are kept. The last block is healed, so that half-arrived syntax never shows raw.
 */
export function makeSplitter(live: boolean): (text: string) => string[] {
  let before = '';
  let blocks: string[] = [];
  let shown: string[] = [];
  return (given) => {
    const text = given.includes('\r') ? given.replace(/\r\n?/g, '\n') : given; // as the parser does
    const keep = text.startsWith(before) ? Math.max(0, blocks.length - 2) : 0;
    const kept = blocks.slice(0, keep);
    const done = kept.reduce((n, block) => n + block.length, 0);
    blocks = [...kept, ...joined(parseMarkdownIntoBlocks(text.slice(done)))];
    before = text;
    const last = blocks.length - 1;
    const show = (block: string, i: number) =>
      i < last ? withDollars(block, false) : remend(withDollars(live ? certain(block, i === 0) : block, live));
    shown = blocks.map((block, i) => (i < keep ? shown[i] : show(block, i)));
    return shown;
  };
}
