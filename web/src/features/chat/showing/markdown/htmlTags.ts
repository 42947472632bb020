import type { Html, Link, Nodes, Parents, PhrasingContent } from 'mdast';
import { htmlFlow } from 'micromark-core-commonmark';
import type { Code, Construct, Extension } from 'micromark-util-types';
import type { Processor } from 'unified';
import { extend } from './plugins';

/** Tags that stand for themselves. */
const empty = ['br', 'hr', 'img', 'source', 'wbr', 'col', 'input'];
/** Tags that begin a block where they stand at the beginning of a line. */
const blocks = [
  ...['blockquote', 'center', 'dd', 'details', 'div', 'dl', 'dt', 'figcaption', 'figure', 'h1', 'h2', 'h3', 'h4', 'h5'],
  ...['h6', 'hr', 'li', 'ol', 'p', 'pre', 'section', 'summary', 'table', 'caption', 'colgroup', 'tbody', 'td', 'tfoot'],
  ...['th', 'thead', 'tr', 'ul', 'col'],
];
const inline = [
  ...[
    'a',
    'abbr',
    'b',
    'bdi',
    'bdo',
    'big',
    'br',
    'cite',
    'code',
    'del',
    'dfn',
    'em',
    'font',
    'i',
    'img',
    'input',
    'ins',
  ],
  ...['kbd', 'mark', 'picture', 'q', 'rp', 'rt', 'ruby', 's', 'samp', 'small', 'source', 'span', 'strike', 'strong'],
  ...['sub', 'sup', 'time', 'tt', 'u', 'var', 'wbr'],
];
/** All tags that are no words in angle brackets: those that are harmless, and do something in a text. */
export const realTags = [...new Set([...blocks, ...inline])];

const real = new Set(realTags);
const isBlock = new Set(blocks);
const isEmpty = new Set(empty);
/** Tags that mean nothing without an attribute. */
const bare = new Set(['a', 'font', 'img', 'input', 'source', 'span']);

const attribute = String.raw`\s+(?:[a-zA-Z_:][\w:.-]*\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>${'`'}]+)|open|checked|disabled|reversed)`;
const tag = new RegExp(String.raw`<(?<close>/?)(?<name>[a-zA-Z][a-zA-Z\d]*)(?<rest>(?:${attribute})*\s*/?)>`, 'g');
const whole = new RegExp(`^${tag.source}$`);
/** A tag of which some attributes have arrived, or a half one. */
const halfTag = new RegExp(
  String.raw`^<(?<name>[a-zA-Z][a-zA-Z\d]*)(?:${attribute})*\s*(?:[a-zA-Z_:][\w:.-]*\s*(?:=\s*(?:"[^"]*|'[^']*|[^\s"'=<>${'`'}]*)?)?)?/?$`,
);

interface Tag {
  name: string;
  close: boolean;
  /** It needs no end. */
  single: boolean;
}

function tagOf(text: string): Tag | undefined {
  const found = whole.exec(text)?.groups;
  const name = found?.name.toLowerCase();
  if (!found || !name || !real.has(name)) return undefined;
  if (!found.close && bare.has(name) && !found.rest.trim()) return undefined;
  return { name, close: found.close !== '', single: isEmpty.has(name) };
}

/** The name of the tag that begins a block on this line. */
export function opensHtml(line: string): string | undefined {
  const name = /^ {0,3}<([a-zA-Z][a-zA-Z\d]*)(?=[\s/>]|$)/.exec(line)?.[1].toLowerCase();
  return name && isBlock.has(name) && !isEmpty.has(name) ? name : undefined;
}

/** Whether words about a tag are likelier than the tag: a space follows it, or it is a type's parameter. */
function isWord(name: string, before: string, after: string): boolean {
  return isBlock.has(name) || /^\s/.test(after) || (/\w$/.test(before) && !/^su[bp]$/.test(name));
}

/** A growing text without half a tag at its end, and without a tag of which it is not known whether it is one. */
export function withoutHalfTag(text: string): string {
  const at = text.lastIndexOf('<');
  const typed = at < 0 ? '' : text.slice(at);
  const name = /^<\/?([a-zA-Z\d]*)$/.exec(typed)?.[1].toLowerCase();
  const begun = halfTag.exec(typed)?.groups?.name.toLowerCase();
  const found = tagOf(typed);
  const tag =
    name === undefined
      ? /^<(?:https?|mailto):[^\s<>]*$/.test(typed) ||
        (begun !== undefined && real.has(begun)) ||
        (found && !found.close && !found.single && !isWord(found.name, text.slice(0, at), ''))
      : [...realTags, 'https', 'mailto'].some((known) => known.startsWith(name));
  return tag ? text.slice(0, at) : text;
}

/** A growing paragraph whose tags are closed at its end. */
export function withClosedTags(text: string): string {
  const from = text.lastIndexOf('\n\n') + 1;
  const stack: string[] = [];
  const part = text.slice(from).replace(/`[^`]*(?:`|$)/g, '');
  for (const { 0: all, index } of part.matchAll(tag)) {
    const found = tagOf(all);
    if (!found || found.single) continue;
    if (found.close) {
      if (stack.at(-1) === found.name) stack.pop();
    } else if (!isWord(found.name, part.slice(0, index), part.slice(index + all.length))) stack.push(found.name);
  }
  return (
    text +
    stack
      .reverse()
      .map((name) => `</${name}>`)
      .join('')
  );
}

/** HTML begins a block only with a tag that is one. */
const realHtml: Construct = {
  ...htmlFlow,
  name: 'realHtml',
  tokenize(effects, ok, nok) {
    const name: Construct = {
      partial: true,
      tokenize(effects, ok, nok) {
        let said = '';
        const read = (code: Code) => {
          if (code !== null && code > 0 && /[a-zA-Z\d]/.test(String.fromCharCode(code))) {
            said += String.fromCharCode(code);
            effects.consume(code);
            return read;
          }
          effects.exit('data');
          const ends = code === null || code < 0 || code === 32 || code === 47 || code === 62;
          return (ends && isBlock.has(said.toLowerCase()) ? ok : nok)(code);
        };
        return (code) => {
          effects.enter('data');
          effects.consume(code);
          return (next) => {
            if (next !== 47) return read(next);
            effects.consume(next);
            return read;
          };
        };
      },
    };
    return effects.check(name, htmlFlow.tokenize.call(this, effects, ok, nok), nok);
  },
};

const onlyRealHtml: Extension = { disable: { null: ['htmlFlow'] }, flow: { 60: realHtml } };

/** Block HTML in which all that is no tag stands as it was typed. */
function cleaned(html: string): string {
  return html.replace(/<(?:[^<>]*>)?/g, (all) => (tagOf(all) ? all : `&lt;${all.slice(1)}`));
}

/** Turns into text what is no tag, and the tags that nothing closes. */
function settle(parent: Parents): void {
  const cell = parent.type === 'tableCell';
  const open: { name: string; at: number }[] = [];
  const keep = new Set<number>();
  parent.children.forEach((child, at) => {
    if (child.type !== 'html') return;
    const found = tagOf(child.value);
    if (!found) return;
    if (found.single) keep.add(at);
    else if (!found.close) open.push({ name: found.name, at });
    else {
      const from = open.findLastIndex((o) => o.name === found.name);
      if (from < 0) return;
      keep.add(at).add(open[from].at);
      const optional = open.splice(from).slice(1);
      if (cell) for (const o of optional) if (isBlock.has(o.name)) keep.add(o.at); // a list's items need no end
    }
  });
  parent.children = parent.children.map((child, at) =>
    child.type === 'html' && !keep.has(at) ? { type: 'text', value: child.value, position: child.position } : child,
  ) as typeof parent.children;
}

/** What an address in angle brackets is shown as. */
function unbracketed(link: Link, source: string): PhrasingContent[] {
  const from = link.position?.start.offset ?? 0;
  const typed = source.slice(from, link.position?.end.offset);
  if (!typed.startsWith('<') || /^<https?:/i.test(typed)) return [link];
  if (/^<(?:mailto:)?[^\s:@]+@/i.test(typed)) return [{ type: 'text', value: '<' }, link, { type: 'text', value: '>' }];
  return [{ type: 'text', value: typed }];
}

const flow = new Set(['root', 'blockquote', 'listItem', 'footnoteDefinition']);

function visit(node: Nodes, source: string): void {
  if (!('children' in node)) return;
  if (flow.has(node.type)) {
    for (const child of node.children)
      if (child.type === 'html') (child as Html).value = cleaned((child as Html).value);
  } else {
    settle(node);
    node.children = (node.children as Nodes[]).flatMap(
      (child) => (child.type === 'link' ? unbracketed(child, source) : [child]) as Nodes[],
    ) as typeof node.children;
  }
  for (const child of node.children) visit(child, source);
}

/** Words in angle brackets are shown as they were typed. */
export function remarkTags(this: Processor) {
  extend(this, onlyRealHtml);
  return (tree: Nodes, file: { value: unknown }) => visit(tree, String(file.value));
}
