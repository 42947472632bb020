import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';

const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** The real server, as a process with a data folder of its own. */
export class OmniChat {
  private readonly data = mkdtempSync(join(tmpdir(), 'omnichat-e2e-'));
  private readonly env: Record<string, string>;
  private child: ChildProcess | undefined;
  private address = '127.0.0.1:0';

  constructor(env: Record<string, string> = {}) {
    this.env = env;
  }

  get url(): string {
    return `http://${this.address}`;
  }

  /** Starts it; the second time on the same port and data. */
  async start(): Promise<void> {
    const child = spawn(process.env.OMNICHAT_BIN ?? join(import.meta.dirname, '../../bin/omnichat'), {
      env: {
        PATH: process.env.PATH,
        OMNICHAT_ADDR: this.address,
        OMNICHAT_DATA_DIR: this.data,
        OMNICHAT_DRAIN: '1s',
        ...this.env,
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.child = child;
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    this.address = /http:\/\/(\S+)/.exec(String(line))?.[1] ?? this.address;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.child;
    this.child = undefined;
    if (!child) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    rmSync(this.data, { recursive: true, force: true });
  }
}

/** The built page on a static file server, as another site would serve it. */
export async function serveElsewhere(config: () => object): Promise<{ server: Server; url: string }> {
  const dist = join(import.meta.dirname, '../dist');
  const server = createServer((req, res) => {
    const path = new URL(req.url ?? '/', 'http://x').pathname;
    if (path === '/config.json') {
      res.setHeader('Content-Type', 'application/json').end(JSON.stringify(config()));
      return;
    }
    const name = extname(path) ? path : '/index.html';
    try {
      const body = readFileSync(join(dist, name));
      res.setHeader('Content-Type', types[extname(name)] ?? 'application/octet-stream').end(body);
    } catch {
      res.writeHead(404).end();
    }
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  return { server, url: `http://localhost:${(server.address() as AddressInfo).port}` };
}
