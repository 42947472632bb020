import { MantineProvider } from '@mantine/core';
import { render as renderBare } from '@testing-library/react';
import type { ReactNode } from 'react';
import { expect, it } from 'vitest';
import { Markdown } from './Markdown';

const render = (ui: ReactNode) => renderBare(ui, { wrapper: MantineProvider });

it('shows prices as text and formulas as formulas', () => {
  const { container } = render(<Markdown text="It costs $5 and $6, and $x^2$ or \(y\)." growth="whole" />);
  expect(container.querySelectorAll('.katex')).toHaveLength(2);
  expect(container.textContent).toContain('It costs $5 and $6, and');
});

it('grows with neither raw formulas nor repeated lines', () => {
  const text = 'One line.\r\n\r\nSo \\(\\frac{a}{b}\\) and\r\n\r\n\\[\r\n\\sum x\r\n\\]\r\n\r\nthe last.\r\n\r\nEnd';
  const { container, rerender } = render(<Markdown text="" growth="growing" />);
  for (let i = 1; i <= text.length; i++) {
    rerender(<Markdown text={text.slice(0, i)} growth="growing" />);
    const shown = [...container.querySelectorAll('p')].map((p) => p.cloneNode(true) as Element);
    for (const p of shown) for (const formula of p.querySelectorAll('.katex')) formula.remove();
    const words = shown.map((p) => p.textContent).join(' ');
    expect(words).not.toMatch(/\\|\$|frac|sum|One.*One|the last.*the last/);
  }
  expect(container.querySelectorAll('.katex')).toHaveLength(2);
});

it.each([
  [
    'the usual',
    [
      'Hello! It is 1 < 2, and 2 * 3.',
      '```go\na[i] = "x"\n```',
      '- one `x` **b** *i* ~~s~~',
      '1. a\n2. b',
      '## Head\n\n> quote',
      '| a | b |\n|---|:-:|\n| 1 | 2 |',
      'A [link](https://a.b/), an ![image](https://a.b/c.png) and <b>x</b>.',
      '---',
      '* * *',
      '~~~sh\ny\n~~~',
      '42\n\nThe end.',
    ].join('\n\n'),
    'Hello!Itis1<2,and2*3.a[i]="x"onexbisabHeadquoteab12Alink,animageandx.y42Theend.',
  ],
  [
    'words in angle brackets',
    'put <your-key>, List<Map<K,V>>, <std::x>, <a@b.cd>, a<b && c>d, the <p> tag, H<sub>2</sub>O <kbd>x</kbd> <!-- n -->\n\n' +
      '<T>\nis\n\n<details>\n<summary>More <T></summary>\n\n**x**\n\n</details>\n\n<script>\nx\n</script>\n\n- a <T>\n\n# <T>',
    'put<your-key>,List<Map<K,V>>,<std::x>,<a@b.cd>,a<b&&c>d,the<p>tag,H2Ox<!--n--><T>isMore<T>x<script>x</script>a<T><T>',
  ],
  [
    'tables anywhere',
    '## Head\n| a | b |\n|---|---|\n| 1 | **2** |\n\n**Head**\n| c |\n|---|\n| 3 |\n\nd | e\n--|--\n4 | 5\n\n' +
      '- item\n\n  | f | g |\n  |---|---|\n  | 6 | 7 |\n\n> | h |\n> |---|\n> | 8 |\n\nso i | j, `k | l` end',
    'Headab12Head c3de45itemfg67h8soi|j,k|lend'.replace(' ', ''),
  ],
  [
    'fences in a fence',
    'So:\n\n```markdown\n# T\n\n```js\nlet x\n```\n\nmore\n```\n\n1. one\n   ```sh\nnpm i\n   ```\n2. two **b**',
    'So:#T```jsletx```moreonenpmitwob',
  ],
  [
    'other scripts',
    '**历经10年，**年 https://a.b/c。谢谢，*强调。*后\n\n**강조(Emphasis)**는 ~~취소！~~는\n\n**「重要」**です。10~20元，30~40元\n\n**مرحبا** بالعالم',
    '历经10年，年https://a.b/c。谢谢，强调。后강조(Emphasis)는취소！는「重要」です。10~20元，30~40元مرحبابالعالم',
  ],
  [
    'escapes, and marks over two lines',
    'as \\[1\\], C:\\(x86\\) and $1 $2 "$@" &amp; R&D\n\nline *one\ntwo* **three\nfour** [a](https://a.b "t")',
    'as[1],C:\\(x86\\)and$1$2"$@"&R&Dlineonetwothreefoura',
  ],
])(
  'shows only what stays, whatever has half arrived: %s',
  (_, text, want) => {
    const { container, rerender } = render(<Markdown text={text} growth="whole" />);
    const shown = () => {
      const all = container.querySelector('[class*=markdown]')?.cloneNode(true) as Element;
      for (const caption of all.querySelectorAll('figcaption')) caption.remove();
      return (all.textContent ?? '').replace(/\s/g, '');
    };
    const end = shown();
    expect(end).toBe(want);
    for (let i = 1; i <= text.length; i++) {
      rerender(<Markdown text={text.slice(0, i)} growth="growing" />);
      expect(end.startsWith(shown()), `${JSON.stringify(text.slice(0, i))} shows ${shown()}`).toBe(true);
    }
  },
  60_000,
);

it.each([
  ['\\[ x = \\frac{a}{b} \\]', ['math']],
  ['$$ x = 1 $$\n\nthen $$y$$ and $z$', ['math', 'thenyyandzz']],
  ['It is:\n\\[ x = 1 \\]\nwhere\nmore\n$$y$$\n$$z$$', ['Itis:', 'math', 'wheremore', 'math', 'math']],
  ['1. so\n   \\[ x = 1 \\]\n\n> $$y$$', ['somath', 'math']],
  ['$x$\n\\(y\\)', ['xxyy']],
])('sets a displayed formula that has a line of its own as one: %j', (text, want) => {
  const { container } = render(<Markdown text={text} growth="whole" />);
  for (const formula of container.querySelectorAll('.katex-display')) formula.textContent = 'math';
  for (const source of container.querySelectorAll('annotation')) source.remove();
  const parts = [...container.querySelectorAll('[class*=markdown] > *')].flatMap((e) =>
    [...e.children].length && e.matches('div') ? [...e.children] : [e],
  );
  expect(parts.map((e) => (e.textContent ?? '').replace(/\s/g, '')).filter(Boolean)).toEqual(want);
});

const html = (text: string) => {
  const { container } = render(<Markdown text={text} growth="whole" />);
  return (container.querySelector('[class*=markdown]')?.innerHTML ?? '')
    .replace(/ (?:class|data-[\w-]+|tabindex|rel|target|aria-\w+)="[^"]*"/g, '')
    .replace(/<figcaption>.*?<\/figcaption>|<span>|<\/span>/g, '');
};

it.each([
  ['**历经10年发展，**年', '<p dir="auto">历经10年发展，年</p>'],
  [
    '见 https://a.b/c。谢谢，https://a.b/d）和「www.a.b」',
    '<p dir="auto">见 <a href="https://a.b/c">https://a.b/c</a>。谢谢，<a href="https://a.b/d">https://a.b/d</a>）和「<a href="http://www.a.b/">www.a.b</a>」</p>',
  ],
  [
    'https://a.b/wiki/中文 https://a.b에서 https://a.b/c를 https://a.b/<id>/x',
    '<p dir="auto"><a href="https://a.b/wiki/%E4%B8%AD%E6%96%87">https://a.b/wiki/中文</a> <a href="https://a.b/">https://a.b</a>에서 ' +
      '<a href="https://a.b/c">https://a.b/c</a>를 <a href="https://a.b/">https://a.b/</a>&lt;id&gt;/x</p>',
  ],
  [
    'Roses\nViolets\n\n- a\n  b',
    '<p dir="auto">Roses<br>\nViolets</p><ul dir="ltr">\n<li dir="auto">a<br>\nb</li>\n</ul>',
  ],
  ['```\na\nb\n```', '<figure dir="ltr"><pre><code>a\nb</code></pre></figure>'],
  [
    '- مرحبا `x`\n\n> اقتباس\n\n| أ |\n|---|\n| a |',
    '<ul dir="rtl">\n<li dir="auto">مرحبا <code dir="ltr">x</code></li>\n</ul><blockquote dir="rtl">\n<p dir="auto">اقتباس</p>\n</blockquote>' +
      '<div dir="rtl"><table dir="rtl"><thead><tr><th dir="auto">أ</th></tr></thead><tbody><tr><td dir="auto">a</td></tr></tbody></table></div>',
  ],
  ['<img src="x" onerror="x()"><b onclick="x()">y</b>', '<p dir="auto">[Image blocked: No description]<b>y</b></p>'],
])('renders %j', (text, want) => {
  expect(html(text)).toBe(want);
});

it.each([
  '\\rule{9999em}{9999em}',
  '\\raisebox{9999em}{x}',
  'a\\hspace{9999cm}b',
  'a\\kern-9999em b',
  '\\rule[- 9999.9 pt]{1em}{1em}',
  '\\smash{\\raisebox{-9999em}{x}}',
  '\\begin{matrix}a\\\\[9999em]b\\end{matrix}',
  `\\def\\a{${'x'.repeat(1000)}}${'\\a'.repeat(400)}`,
  '\\newcommand{\\a}{\\a\\a}\\a',
  `${'x^{'.repeat(1200)}a${'}'.repeat(1200)}`,
  `${'x'.repeat(10_000)}^2`,
])('draws no formula that would fill the page (%#)', (formula) => {
  const { container } = render(<Markdown text={`so $${formula}$ it is`} growth="whole" />);
  const drawn = [...container.querySelectorAll<HTMLElement>('.katex-html [style]')];
  const sizes = drawn.flatMap(({ style }) => [
    style.width,
    style.height,
    style.top,
    style.bottom,
    style.marginRight,
    style.verticalAlign,
  ]);
  expect(Math.max(0, ...sizes.map((size) => Math.abs(Number.parseFloat(size) || 0)))).toBeLessThan(100);
  expect(drawn.length).toBeLessThan(10_000);
  expect(container.textContent).toContain('it is');
});

it('colours a code block only once its fence has closed', () => {
  const open = 'So:\n\n```go\nfunc main() {}\n';
  const { container, rerender } = render(<Markdown text={open} growth="growing" />);
  const code = container.querySelector('pre code');
  expect(code?.textContent).toBe('func main() {}');
  expect(container.querySelector('.hljs')).toBeNull();
  rerender(<Markdown text={`${open}// more\n`} growth="growing" />);
  expect(container.querySelector('pre code')).toBe(code); // what is selected stays so
  expect(container.querySelector('.hljs')).toBeNull();
  rerender(<Markdown text={`${open}\`\`\`\n`} growth="growing" />);
  expect(container.querySelector('.hljs-keyword')?.textContent).toBe('func');
});

it('colours a code block whose fence never closes', () => {
  const { container, rerender } = render(<Markdown text={'```go\nfunc main() {}'} growth="growing" />);
  const outer = container.querySelector('[class*=markdown]') as HTMLElement;
  const before = { className: outer.className, style: outer.style.cssText };
  rerender(<Markdown text={'```go\nfunc main() {}'} growth="whole" />);
  expect(container.querySelector('.hljs')).not.toBeNull();
  // Streaming adds no caret and no animation.
  expect({ className: outer.className, style: outer.style.cssText }).toEqual(before);
});

it('fetches no image, but links to it', () => {
  const text = [
    '![a cat](https://evil.test/cat.png?q=1) and ![](https://evil.test/none.png)',
    '![alone](https://evil.test/alone.png)',
    '[![badge](https://evil.test/badge.svg)](https://a.test/)',
    '<img src="https://evil.test/raw.png" alt="raw"> <picture><source srcset="https://evil.test/set.png"></picture>',
    '<table background="https://evil.test/back.png"><tr><td style="background: url(https://evil.test/s.png)">x</td></tr></table>',
    'half ![way](https://evil.te',
  ].join('\n\n');
  const { container } = render(<Markdown text={text} growth="growing" />);
  const links = [...container.querySelectorAll('a')].map((a) => [a.textContent, a.getAttribute('href')]);
  expect(links).toEqual([
    ['a cat', 'https://evil.test/cat.png?q=1'],
    ['Image', 'https://evil.test/none.png'],
    ['alone', 'https://evil.test/alone.png'],
    ['badge', 'https://a.test/'],
    ['raw', 'https://evil.test/raw.png'],
  ]);
  expect(container.querySelector('img, [src], [background], [style*=url]')).toBeNull();
  expect(container.textContent).toContain('half way');
});
