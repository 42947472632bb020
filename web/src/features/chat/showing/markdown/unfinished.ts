import { withClosedTags, withoutHalfTag } from './htmlTags';

/** What may turn out to be syntax when more arrives: marks, a link's text, an item, a rule, a character's name. */
const marks =
  /(?:[`*_~]+|(?<!\w)!?\[[^[\]\n]*\](?:\[[^[\]\n]*)?|(?<!\S)!|<\/?|&[#\w]{0,31}|(?<=\n[ \t>]*)(?:(?:--?|=+|\+|\d{1,3}[.)]?)[ \t]*))$/;
/** Between a table's head and its rows. */
const rule = /^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const halfRule = /^[ \t>]*[|:\- \t]*$/;
const hidden = /`+[^`\n]*(?:`+|$)|\$[^$\n]+\$|\\\([^\n]*?\\\)|\\\[[^\n]*?\\\]|\\./g;

/** Where a line's first cell ends; -1: the line has none. */
const pipe = (line: string) => line.replace(hidden, (all) => ' '.repeat(all.length)).indexOf('|');

/** A text without the table at its end of which there is no row yet, as it may as well be none. */
function withoutHalfTable(text: string): string {
  const lines = text.split('\n');
  const last = lines.length - 1;
  let from = last;
  while (from > 0 && lines[from - 1].trim() !== '') from--;
  const table = lines.slice(from, last).some((line) => line.includes('|') && rule.test(line));
  if (table) return /^[ \t>]*\|?[ \t]*$/.test(lines[last]) ? lines.slice(0, last).join('\n') : text;
  const head = last > from && halfRule.test(lines[last]) && pipe(lines[last - 1]) >= 0 ? last - 1 : last;
  const cell = pipe(lines[head]);
  if (cell < 0) return text;
  const before = lines[head].slice(0, cell).trimEnd();
  return [...lines.slice(0, head), ...(/^[ \t>]*$/.test(before) ? [] : [before])].join('\n');
}

/** Code that grows, without half the fence that may end it. */
const withoutHalfFence = (text: string) =>
  text.replace(/(?:^|\n)(?:[ \t>]|(?:[-*+]|\d+[.)])[ \t])*(?:`+[^`\n]*|~+[^~\n]*)$/, '');

/** The last block of a growing text, without what might show raw for a moment. */
export function withoutUnfinished(block: string, open: boolean, only: boolean): string {
  if (open) return withoutHalfFence(block);
  const text = withoutHalfTag(withoutHalfTable(only ? block : `\n${block}`)).replace(marks, '');
  return withClosedTags(text.slice(only ? 0 : 1));
}
