import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import tailwind from '@tailwindcss/vite';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Puts a .br and a .gz beside every file that compresses, so that the server need not. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    closeBundle() {
      const dist = join(import.meta.dirname, 'dist');
      for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
        if (!/\.(html|js|css|svg|json)$/.test(name)) continue;
        const file = join(dist, name);
        const bytes = readFileSync(file);
        if (bytes.length < 1024) continue;
        writeFileSync(`${file}.br`, brotliCompressSync(bytes));
        writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

/** Browsers that run the page read woff2: KaTeX's older fonts stay out of the build. */
function woff2Only(): Plugin {
  return {
    name: 'woff2-only',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('katex') || !id.includes('.css')) return;
      return code.replace(/,\s*url\([^)]*\.(woff|ttf)\)\s*format\(['"][a-z]+['"]\)/g, '');
    },
  };
}

export default defineConfig({
  plugins: [woff2Only(), react(), tailwind(), precompress()],
  server: {
    proxy: {
      '/ws': { target: 'ws://127.0.0.1:8080', ws: true, rewriteWsOrigin: true },
      ...Object.fromEntries(
        [
          '/token',
          '/users',
          '/models',
          '/sessions',
          '/chat',
          '/attachments',
          '/limits',
          '/providers',
          '/prices',
          '/usage',
        ].map((p) => [p, 'http://127.0.0.1:8080']),
      ),
    },
  },
  // Browsers that have light-dark(): what stands in for it does not see Mantine's scheme.
  build: {
    target: 'es2023',
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    chunkSizeWarningLimit: 1500,
    assetsInlineLimit: 0,
  },
});
