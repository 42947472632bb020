import type { Element, ElementContent, Root as HtmlRoot } from 'hast';
import type { Root } from 'mdast';
import { findAndReplace } from 'mdast-util-find-and-replace';
import { cjkFriendlyExtension } from 'micromark-extension-cjk-friendly';
import { gfmStrikethroughCjkFriendly } from 'micromark-extension-cjk-friendly-gfm-strikethrough';
import type { Extension } from 'micromark-util-types';
import type { Processor } from 'unified';

export function extend(processor: Processor, extension: Extension): void {
  const data = processor.data() as { micromarkExtensions?: Extension[] };
  data.micromarkExtensions ??= [];
  data.micromarkExtensions.push(extension);
}

/** Emphasis ends where a reader of Chinese, Japanese or Korean ends it. */
export function remarkCjk(this: Processor) {
  extend(this, cjkFriendlyExtension());
}

/** So does what is struck out; it comes after the plugin that brings it. A single tilde means "about". */
export function remarkCjkStruck(this: Processor) {
  extend(this, gfmStrikethroughCjkFriendly({ singleTilde: false }));
}

/** The end of a line is one. */
export function remarkLines() {
  return (tree: Root) => findAndReplace(tree, [/\r?\n|\r/g, () => ({ type: 'break' })]);
}

interface Node {
  type: string;
  value?: string;
  children?: Node[];
  position?: { start: { offset?: number } };
  data?: object;
}

const display = (value = ''): Node => {
  const code = { type: 'element', tagName: 'code', properties: { className: ['language-math', 'math-display'] } };
  const hChildren = [{ ...code, children: [{ type: 'text', value }] }];
  return { type: 'math', value, data: { hName: 'pre', hChildren } };
};

/** A paragraph in parts: before, between and after the displayed formulas that have lines of their own. */
function parted(paragraph: Node, text: string): Node[] {
  const lines: Node[][] = [[]];
  for (const child of paragraph.children ?? [])
    if (child.type === 'break') lines.push([]);
    else lines[lines.length - 1].push(child);
  const parts: Node[] = [];
  for (const line of lines) {
    const [first, ...rest] = line.filter((n) => n.type !== 'text' || n.value?.trim());
    const before = parts.at(-1);
    if (first?.type === 'inlineMath' && rest.length === 0 && text.startsWith('$$', first.position?.start.offset))
      parts.push(display(first.value));
    else if (before?.type === 'paragraph') before.children?.push({ type: 'break' }, ...line);
    else parts.push({ ...paragraph, children: line });
  }
  return parts;
}

function displayed(node: Node, text: string): void {
  if (!node.children) return;
  node.children = node.children.flatMap((child) => {
    if (child.type === 'paragraph') return parted(child, text);
    displayed(child, text);
    return child;
  });
}

/** A formula between double dollars on a line of its own stands alone, as one whose dollars have lines of their own. */
export function remarkDisplays() {
  return (tree: Root, file: object) => displayed(tree as Node, String(file));
}

/** Each of these is set in the direction of its own first letter. */
const own = new Set(['p', 'li', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'td', 'th', 'dt', 'dd', 'summary', 'figcaption']);
/** These are set in the direction of the first letter in them: browsers look at none that an element of their own has. */
const outer = new Set(['ul', 'ol', 'blockquote', 'table', 'details', 'section', 'dl', 'div']);
const verbatim = new Set(['code', 'pre', 'kbd', 'samp', 'var']);
const rightToLeft = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]|[\u{10800}-\u{10fff}]|[\u{1e800}-\u{1efff}]/u;

function firstLetter(node: ElementContent): string | undefined {
  if (node.type === 'text') return /\p{L}/u.exec(node.value)?.[0];
  if (node.type !== 'element' || verbatim.has(node.tagName)) return undefined;
  for (const child of node.children) {
    const found = firstLetter(child);
    if (found) return found;
  }
  return undefined;
}

function direct(node: Element, parent: string): void {
  const set = (dir: string) => {
    node.properties.dir ??= dir;
  };
  if (verbatim.has(node.tagName)) {
    set('ltr');
    return;
  }
  // A paragraph of an item goes with the item, whose mark stands at its beginning.
  if (own.has(node.tagName) && !(node.tagName === 'p' && parent === 'li')) set('auto');
  if (outer.has(node.tagName)) set(rightToLeft.test(firstLetter(node) ?? '') ? 'rtl' : 'ltr');
  for (const child of node.children) if (child.type === 'element') direct(child, node.tagName);
}

/** Says of everything in which direction it is written. */
export function rehypeDirection() {
  return (tree: HtmlRoot) => {
    for (const child of tree.children) if (child.type === 'element') direct(child, '');
  };
}

const LONGEST_FORMULA = 5000;
/** Definitions, of which a few make a million letters, and sizes below zero that would fill a page. */
const wild = /\\(?:[gex]?def|(?:re)?newcommand|providecommand|let|futurelet)(?![a-zA-Z])|-\s*\d{3,}[\d.]*\s*[a-z]{2}/;

function source(node: Element): void {
  const [first] = node.children;
  const formula = node.tagName === 'code' && [node.properties.className].flat().includes('language-math');
  if (formula && first?.type === 'text' && (first.value.length > LONGEST_FORMULA || wild.test(first.value)))
    node.properties = {};
  for (const child of node.children) if (child.type === 'element') source(child);
}

/** Shows of a formula that could not be drawn within bounds what was written. */
export function rehypeBounds() {
  return (tree: HtmlRoot) => {
    for (const child of tree.children) if (child.type === 'element') source(child);
  };
}
