import { VisuallyHidden } from '@mantine/core';
import { createMathPlugin } from '@streamdown/math';
import hljs from 'highlight.js/lib/common';
import 'katex/dist/katex.min.css';
import { type ComponentProps, type ComponentType, createContext, memo, useContext, useMemo } from 'react';
import {
  defaultComponents,
  defaultRehypePlugins,
  defaultRemarkPlugins,
  Streamdown,
  useIsCodeFenceIncomplete,
} from 'streamdown';
import type { Plugin } from 'unified';
import { useCopy } from '../../../../shared/useCopy';
import { realTags, remarkTags } from './htmlTags';
import styles from './Markdown.module.css';
import { type Growth, makeSplitter } from './makeSplitter';
import { rehypeBounds, rehypeDirection, remarkCjk, remarkCjkStruck, remarkDisplays, remarkLines } from './plugins';
import { reachable } from './reachableFormulas';

function CopyButton({ text }: { text: string }) {
  const { said, copy } = useCopy();
  return (
    <>
      <button type="button" className={styles.copy} onClick={() => copy(text)}>
        {said || 'Copy'}
      </button>
      <VisuallyHidden role="status">{said}</VisuallyHidden>
    </>
  );
}

/** A code block: coloured once its fence is closed, in the same size as before. */
function Code({ className, children, ...rest }: ComponentProps<'code'>) {
  const open = useIsCodeFenceIncomplete();
  const text = String(children ?? '').replace(/\n$/, '');
  const language = /language-(\S+)/.exec(className ?? '')?.[1] ?? '';
  const block = 'data-block' in rest || language !== '' || text.includes('\n');
  const html = useMemo(
    () => (block && !open && hljs.getLanguage(language) ? hljs.highlight(text, { language }).value : undefined),
    [block, open, language, text],
  );
  if (!block)
    return (
      <code dir="ltr" className={styles.inline}>
        {children}
      </code>
    );
  return (
    <figure dir="ltr" className={styles.block} aria-label={`Code${language ? `, ${language}` : ''}`}>
      <figcaption>
        <span>{language || 'text'}</span>
        <CopyButton text={text} />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways must be reachable by keyboard */}
      <pre tabIndex={0}>
        {html === undefined ? (
          <code>{text}</code>
        ) : (
          // biome-ignore lint/security/noDangerouslySetInnerHtml: the highlighter escapes the text
          <code className="hljs" dangerouslySetInnerHTML={{ __html: html }} />
        )}
      </pre>
    </figure>
  );
}

function Table({ children, dir }: ComponentProps<'table'>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways must be reachable by keyboard
    <div className={styles.table} dir={dir} tabIndex={0}>
      <table dir={dir}>{children}</table>
    </div>
  );
}

const InLink = createContext(false);
const DefaultLink = defaultComponents.a as ComponentType<ComponentProps<'a'>>;

function Link(props: ComponentProps<'a'>) {
  return (
    <InLink value={true}>
      <DefaultLink {...props} />
    </InLink>
  );
}

/** An image is shown as a link: fetched unasked, its address could carry off what the chat says. */
function Picture({ src, alt }: ComponentProps<'img'>) {
  const inLink = useContext(InLink);
  if (typeof src === 'string' && src.startsWith('streamdown:')) return alt; // its address has not arrived
  const text = alt || 'Image';
  if (inLink || typeof src !== 'string') return text;
  return <DefaultLink href={src}>{text}</DefaultLink>;
}

/** The box of a task, which nobody can check here. */
function TaskBox({ checked }: ComponentProps<'input'>) {
  return <input type="checkbox" checked={checked} disabled aria-label={checked ? 'Done' : 'Not done'} />;
}

const components = { a: Link, code: Code, img: Picture, input: TaskBox, table: Table };

type Configured = [Plugin, object];
const [gfm] = defaultRemarkPlugins.gfm as Configured;
const [sanitize, schema] = defaultRehypePlugins.sanitize as [Plugin, { tagNames: string[] }];
const remarkPlugins = [
  remarkCjk,
  [gfm, { singleTilde: false }] as Configured,
  remarkCjkStruck,
  defaultRemarkPlugins.codeMeta,
  remarkTags,
  remarkLines,
  remarkDisplays,
];
const rehypePlugins = [
  defaultRehypePlugins.raw,
  [sanitize, { ...schema, tagNames: [...new Set([...schema.tagNames, ...realTags])] }] as Configured,
  defaultRehypePlugins.harden,
  rehypeDirection,
  rehypeBounds,
];

/** A formula is no larger than this, in its own em and steps: one that says otherwise must not fill the page. */
const bounds = { maxSize: 20, maxExpand: 500 };
const math = createMathPlugin({ singleDollarTextMath: true });
const [katex, look] = math.rehypePlugin as Configured;
const plugins = {
  math: { ...math, rehypePlugin: [reachable(katex), { ...look, ...bounds }] as unknown as Configured },
};
const linkSafety = { enabled: false };

/** Markdown, which may grow. */
export const Markdown = memo(function Markdown({ text, growth }: { text: string; growth: Growth }) {
  const split = useMemo(() => makeSplitter(growth), [growth]);
  return (
    <Streamdown
      className={styles.markdown}
      components={components}
      plugins={plugins}
      remarkPlugins={remarkPlugins}
      rehypePlugins={rehypePlugins}
      linkSafety={linkSafety}
      controls={false}
      parseIncompleteMarkdown={false}
      parseMarkdownIntoBlocksFn={split}
      isAnimating={growth === 'growing'}
    >
      {text}
    </Streamdown>
  );
});
