// Holds the page's weight: what is loaded first, and the Markdown that follows.
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url);
const gz = (name) => gzipSync(readFileSync(new URL(name, dist)), { level: 9 }).length;
const html = readFileSync(new URL('index.html', dist), 'utf8');
const first = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map((m) => m[1]);
const markdown = readdirSync(new URL('assets/', dist))
  .filter((n) => /^Markdown-.*\.js$/.test(n))
  .map((n) => `assets/${n}`);
const sum = (names) => Math.round(names.reduce((n, name) => n + gz(name), 0) / 1000);
let failed = 0;
for (const [what, size, limit] of [
  ['first script', sum(first), 230],
  ['Markdown', sum(markdown), 300],
]) {
  const ok = size > 0 && size <= limit;
  console.log(`${what}: ${size} kB gzip of ${limit}${ok ? '' : ': too much'}`);
  if (!ok) failed = 1;
}
process.exit(failed);
