import { isProse } from './formulas';
import { opensHtml } from './htmlTags';

/** A block of a text. */
export interface Block {
  /** How many characters of the text it is. */
  size: number;
  /** What the parser is given of it. */
  text: string;
  /** Whether it ends within code. */
  open: boolean;
}

interface Fence {
  lead: string;
  mark: string;
  info: string;
  /** The column at which it stands. */
  indent: number;
  /** The column at which its list item's content begins; 0: it stands in no list. */
  item: number;
}

/** Where a fence's code ends, and how it must be written so that the parser sees the same. */
interface Extent {
  /** The line that closes it; -1: none does. */
  close: number;
  end: number;
  mark: string;
  /** Whether some lines are less indented than the list item they belong to. */
  short: boolean;
}

const fenceLine =
  /^(?<lead>(?:[ \t>]|(?:[-*+]|\d{1,9}[.)])[ \t])*)(?<mark>`{3,}(?!.*`)|~{3,})[ \t]*(?<info>.*?)[ \t]*$/;
const itemLine = /^[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)/;
const heading = /^#{1,6}(?:[ \t]|$)/;
const definition = /^ {0,3}\[[^\]\n]+\]:/;
const footnote = /\[\^[\w-]{1,200}\]/;
/** Languages whose code has fences of its own. */
const fenced = /^\{?\.?(?:markdown|md|mdx|mkd|rmd|qmd)\b/i;
/** How far the end of a formula or of a tag's content is looked for, in lines. */
const FAR = 200;

const columns = (text: string) => text.replace(/\t/g, '    ').length;
const indentOf = (line: string) => columns(/^[ \t]*/.exec(line)?.[0] ?? '');
const isBlank = (line: string) => /^\s*$/.test(line);

function fenceOf(line: string): Fence | undefined {
  const found = fenceLine.exec(line)?.groups;
  return found && { lead: found.lead, mark: found.mark, info: found.info, indent: columns(found.lead), item: 0 };
}

/**
 * The extent of the code that a fence opens. In Markdown that is shown as code, a fence with a language opens code of its
 * own, and the next bare one closes that; where no line would be left to close the outer one, this is not so.
 */
function extentOf(lines: string[], at: number, fence: Fence, live: boolean, nest: boolean): Extent {
  const inner: string[] = [];
  let longest = 0;
  let short = -1;
  const done = (close: number, end: number): Extent => ({
    close,
    end,
    mark: fence.mark[0].repeat(longest < fence.mark.length ? fence.mark.length : longest + 1),
    short: short >= 0 && short < end,
  });
  const last = live ? lines.length - 1 : lines.length; // a line that has half arrived closes nothing
  for (let i = at + 1; i < lines.length; i++) {
    const line = lines[i];
    if (fence.lead.includes('>') && !/^[ \t]*>/.test(line)) return done(-1, i);
    if (fence.item > 0 && short < 0 && !isBlank(line) && indentOf(line) < fence.item) short = i;
    const found = i < last ? fenceOf(line) : undefined;
    if (!found) continue;
    const alike = found.mark[0] === fence.mark[0];
    if (alike ? found.mark.length < fence.mark.length : !nest) continue; // it cannot end this one
    if (found.info && !nest) {
      if (short >= 0) return done(-1, short);
      continue;
    }
    const within = inner.at(-1);
    if (within || found.info || !alike) {
      if (alike) longest = Math.max(longest, found.mark.length);
      if (!within || (found.info && found.mark[0] === within[0])) inner.push(found.mark);
      else if (!found.info && found.mark.startsWith(within)) inner.pop();
    } else if (found.indent <= fence.indent + 3 && !/[-*+\d]/.test(found.lead)) return done(i, i + 1);
  }
  if (!live && nest) return extentOf(lines, at, fence, live, false);
  return done(-1, live || short < 0 ? lines.length : short);
}

/** The line after the formula that begins on its own line; the same line if none does. */
function afterFormula(lines: string[], at: number, live: boolean): number {
  const opener = /^(?:[ \t>]|(?:[-*+]|\d{1,9}[.)])[ \t])*(?<mark>\$\$|\\\[)(?<rest>.*)$/.exec(lines[at])?.groups;
  if (!opener) return at;
  const closer = opener.mark === '$$' ? '$$' : '\\]';
  if (opener.rest.includes(closer) || isProse(opener.rest)) return at;
  for (let i = at + 1; i < Math.min(lines.length, at + FAR); i++) if (lines[i].includes(closer)) return i + 1;
  return live ? Math.min(lines.length, at + FAR) : at;
}

/** The line after what the tag holds that begins on this line; the same line if none does. */
function afterTag(lines: string[], at: number, live: boolean): number {
  const name = opensHtml(lines[at]);
  if (!name) return at;
  const tag = new RegExp(`<(/?)${name}(?![\\w-])[^>]*>`, 'gi');
  let depth = 0;
  for (let i = at; i < Math.min(lines.length, at + FAR); i++) {
    for (const [, closing] of lines[i].matchAll(tag)) depth += closing ? -1 : 1;
    if (depth <= 0 && (i > at || /<\//.test(lines[i]))) return i + 1;
  }
  return live && depth > 0 ? Math.min(lines.length, at + FAR) : at;
}

/**
 * Splits a text at places where no Markdown goes through. Fences are rewritten where the parser would end them sooner
 * than a reader does.
 */
export function split(text: string, live: boolean): Block[] {
  const lines = text.split('\n');
  const out = [...lines];
  const starts = [0];
  let inside = -1; // the block that ends within code
  let references = false;
  let content = false; // of this block
  let list = false;
  let item = 0;
  let ended = false;
  let gap = false;
  for (let i = 0; i < lines.length; ) {
    const line = lines[i];
    if (isBlank(line)) {
      gap = true;
      i++;
      continue;
    }
    const indent = indentOf(line);
    const marker = itemLine.exec(line)?.[0];
    const fence = list || indent < 4 ? fenceOf(line) : undefined;
    const top = heading.test(line) || fence?.lead === '';
    if (content && (ended || top || (gap && !(list && (marker || indent > 0))))) {
      starts.push(i);
      list = false;
    }
    content = true;
    gap = false;
    if (marker && (list || indent < 4)) {
      list = true;
      item = columns(marker);
    }
    ended = heading.test(line);
    if (fence) {
      if (list && !fence.lead.includes('>')) fence.item = Math.min(item, fence.indent);
      const nest = fenced.test(fence.info);
      const extent = extentOf(lines, i, fence, live, nest);
      out[i] = fence.lead + extent.mark + lines[i].slice(fence.lead.length + fence.mark.length);
      for (let j = i + 1; extent.short && j < extent.end; j++)
        if (!isBlank(lines[j]) && indentOf(lines[j]) < fence.item)
          out[j] = ' '.repeat(fence.indent) + lines[j].trimStart();
      if (extent.close >= 0) out[extent.close] = out[extent.close].replace(/[`~]+/, extent.mark);
      else if (extent.end === lines.length) inside = starts.length - 1;
      ended = fence.lead === '';
      i = extent.end;
      continue;
    }
    references ||= definition.test(line) || footnote.test(line);
    i = Math.max(i + 1, afterFormula(lines, i, live), afterTag(lines, i, live));
  }
  // What refers to another place is parsed together with it.
  const from = references ? [0] : starts;
  return from.map((start, n) => {
    const end = from[n + 1] ?? lines.length;
    const tail = end < lines.length ? '\n' : '';
    const size = lines.slice(start, end).join('\n').length + tail.length;
    return { size, text: out.slice(start, end).join('\n') + tail, open: inside >= 0 && n === from.length - 1 };
  });
}
