import { endOf } from './addresses';

/** What is copied as it is: fences, code spans, HTML, addresses, escaped characters. */
const verbatim = [
  /(?<=^|\n)(?:[ \t>]|[-*+][ \t]|\d+[.)][ \t])*(?<fence>`{3,}(?!.*`)|~{3,})[\s\S]*?(?:\n[ \t>]*\k<fence>[`~]*[ \t]*(?=\n|$)|$)/,
  /(?<!`)(?<ticks>`+)(?!`)(?:(?!\n[ \t]*\n)[\s\S])*?(?<!`)\k<ticks>(?!`)/,
  /(?<=^|\n) {0,3}<\/?(?:details|summary|div|p|table|t[dhr]|thead|tbody|[uo]l|li|center|section|h\d)\b[\s\S]*?(?:\n[ \t]*\n|$)/,
  /<[a-zA-Z/!][^<>\n]*>/,
  /(?<address>https?:\/\/[^\s<>]+|(?<![\w.@/])www\.[^\s<>]+)/,
  /\\[^([]/,
];
/** A single dollar is one by Pandoc's rule, by which prices are none; nor are a shell's variables. */
const formulas = [
  /\\\[(?<display>(?:\\[^[\]]|[^\\])+)\\\]/,
  /\\\((?<inline>(?:(?!\n[ \t]*\n)(?:\\[^()]|[^\\]))+)\\\)/,
  /\$\$(?<dollars>[^$](?:[^$]|\$(?!\$))*)\$\$/,
  /\$(?![\s$@#?!*;&"'])(?![A-Z_][A-Z\d_]+[^\w\s$]?\$[A-Z_])(?<single>(?:\\[^()[\]]|(?!\n[ \t]*\n)[^$\\`])+)(?<!\s)\$(?![\d$@#{(])/,
];
/** What may become code or a formula when more arrives. */
const openings = [
  /(?<!`)`+(?!`)(?:(?!\n[ \t]*\n)[\s\S])*$/,
  /(?<opener>\$\$|\\\[)(?<rest>[\s\S]*)$/,
  /(?<opener>\\\()(?<rest>(?:(?!\n[ \t]*\n)[\s\S])*)$/,
  /(?<opener>\$)(?<rest>(?![\s$@#?!*;&"'])(?:\\[^()[\]]|[^$\\`\n])*\\?)$/,
  /\\$/,
];
const any = (...parts: RegExp[]) => parts.map((p) => p.source).join('|');
const whole = any(...verbatim, ...formulas, /\$/);
const growing = any(...verbatim, ...formulas, ...openings, /\$/);

/** What no text without a formula in it has. */
const sign = /[\\^_=+*<>{}|]/;
/** An escaped bracket behind these belongs to a name, a path or a call. */
const glued = /[\w\\/]$|(?:^|[^A-Za-z])[A-Za-z]:$/;
/** A backslash behind these is one. */
const drive = /(?:^|[^A-Za-z])[A-Za-z]:$/;

/** Whether what stands between brackets or dollars is words, a name or a version, and no formula. */
function isWords(text: string): boolean {
  if (sign.test(text)) return false;
  return (
    text.trim() === '' ||
    /\p{Ll}{4,}|\p{Lo}{2,}|\p{Ll}{2,}[\s,]+\p{Ll}{2,}/u.test(text) ||
    /^[A-Za-z]+\d{2,}$|\d\.\d+\.\d/.test(text.trim())
  );
}

/** Whether an escaped square bracket is one: of a reference, a box to tick, an index or a link. */
function isBracket(text: string, before: string, after: string): boolean {
  if (/^\^|^[ xX]$/.test(text) || isWords(text) || glued.test(before)) return true;
  if (/^[\d\s,;.–-]*$/.test(text) && !text.includes('\n')) return true;
  if (sign.test(text)) return false;
  const alone = /(?:^|\n)[ \t>]*$/.test(before) && /^[ \t.,]*(?:\n|$)/.test(after);
  return /^\\?\(/.test(after) || (!alone && text.trim().length > 1);
}

/** Whether what stands between two dollars is a part of a command, or words between two prices. */
function isShell(text: string, after: string): boolean {
  if (text.includes('"') && !text.includes('\\')) return true;
  if (/^[a-zA-Z_]/.test(after) && (/[-+*/=:,.;|&<>@%~'"]$/.test(text) || /^[a-zA-Z_]\w+$/.test(text))) return true;
  if (sign.test(text)) return false;
  return /(?:^|\s)\p{Ll}{2,}\s|\p{Lo}{2,}/u.test(text) || /^\d.*[\s/].*\p{L}{2}/u.test(text);
}

/** Whether what follows a dollar is a price, or a part of a command. */
const isPrice = (rest: string) => /^\d[\d.,]*[kKMB]?(?![\w^\\{]|\s*[+*=<>\\^])|^[^\\]*"/.test(rest);

/** Whether what follows an opener is more likely words than half a formula. */
export function isProse(rest: string): boolean {
  const words = rest.replace(/\\[a-zA-Z]+|\{[^{}]*\}?/g, '');
  return /\p{L}{2,},?\s+\p{L}{2,}\s|\p{Lo}/u.test(words);
}

/** An address as a link of its own, where the parser would take the words behind it along. */
function asLink(address: string, before: string): [string, number] {
  const end = endOf(address);
  if (end === address.length || /\[[^\]\n]*$|\]\([^)\n]*$|\]:[ \t]*$/.test(before)) return [address, address.length];
  const kept = address.slice(0, end);
  return [kept.startsWith('w') ? `[${kept}](http://${kept})` : `<${kept}>`, end];
}

/** How a found piece is written, and how much of it is not looked at again. */
function written(found: RegExpExecArray): [string, number] {
  const { display, dollars, inline, single, opener, rest, address } = found.groups ?? {};
  const [all] = found;
  const text = found.input;
  const before = text.slice(Math.max(0, found.index - 80), found.index);
  const after = text.slice(found.index + all.length, found.index + all.length + 80);
  if ((display ?? inline) !== undefined && drive.test(before))
    return [`\\${all.slice(0, -2)}\\${all.slice(-2)}`, all.length];
  if (display !== undefined) return isBracket(display, before, after) ? ['&#91;', 2] : [`$$${display}$$`, all.length];
  if (inline !== undefined) {
    if (isWords(inline) || glued.test(before)) return ['\\(', 2];
    return [inline.includes('$') ? `$$${inline}$$` : `$${inline}$`, all.length];
  }
  if (dollars !== undefined) return isWords(dollars) ? ['\\$\\$', 2] : [all, all.length];
  if (single !== undefined) return isShell(single, after) ? ['\\$', 1] : [all, all.length];
  if (opener !== undefined) {
    const prose = isProse(rest) || (opener.startsWith('$') ? isPrice(rest) : glued.test(before));
    if (!prose) return ['', all.length];
    if (drive.test(before)) return [`\\${opener}`, opener.length];
    return [opener === '\\[' ? '&#91;' : opener.replaceAll('$', '\\$'), opener.length];
  }
  if (address !== undefined) return asLink(address, before);
  if (all === '$') return ['\\$', 1];
  return [all === '\\' ? '' : all, all.length];
}

/**
 * Writes every formula with the dollars that the parser knows, escapes the dollars that are none, and ends addresses
 * where a reader does. Of a text that grows, half a formula at its end is left out.
 */
export function withDollars(text: string, live: boolean): string {
  if (!/[$\\]|https?:|www\./.test(text) || /^(?: {4}|\t)/.test(text)) return text;
  const piece = new RegExp(live ? growing : whole, 'g');
  let out = '';
  let at = 0;
  for (let found = piece.exec(text); found; found = piece.exec(text)) {
    const [put, size] = written(found);
    out += text.slice(at, found.index) + put;
    at = found.index + size;
    piece.lastIndex = at;
  }
  return out + text.slice(at);
}
