import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { everything } from './everything';

interface Part {
  type: string;
  text?: string;
  image_url?: { url: string };
}
interface Asked {
  model: string;
  messages: { role: string; content: string | Part[] }[];
  temperature?: number;
  reasoning_effort?: string;
}

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

/** A provider that speaks like OpenAI and answers by what a question says. */
export class FakeProvider {
  /** What it was asked, titles left out. */
  readonly asked: Asked[] = [];
  private readonly server: Server = createServer((req, res) => {
    this.serve(req, res).catch(() => res.destroy());
  });
  private held: (() => void)[] = [];
  /** Whether questions about limits are refused. */
  limited = true;
  readonly models = ['gpt-5', 'gpt-4.1-nano', 'gpt-3.5-turbo', 'unheard-of'];
  /** A model that fails. */
  failing = '';

  async start(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** Lets what waits go on. */
  release(): void {
    for (const go of this.held) go();
    this.held = [];
  }

  close(): void {
    this.release();
    this.server.closeAllConnections();
    this.server.close();
  }

  private hold(): Promise<void> {
    return new Promise((go) => this.held.push(go));
  }

  private async serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (req.url?.endsWith('/models')) {
      const data = this.models.map((id) => ({ id, object: 'model' }));
      res.setHeader('Content-Type', 'application/json').end(JSON.stringify({ object: 'list', data }));
      return;
    }
    let body = '';
    for await (const part of req) body += String(part);
    const asked = JSON.parse(body) as Asked;
    const last = asked.messages.at(-1)?.content ?? '';
    const text = typeof last === 'string' ? last : last.map((p) => p.text ?? '').join(' ');
    const newest = text.split('\n\n').at(-1) ?? ''; // a question without an answer comes with the next one
    const title = text.startsWith('Write a title');
    if (!title) this.asked.push(asked);
    const refuse = (status: number, error: object, headers: Record<string, string> = {}) =>
      res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify({ error }));

    if (asked.model === this.failing) return void refuse(500, { message: 'Out of order' });
    if (/key/.test(newest) && !title)
      return void refuse(401, { message: 'Incorrect API key', code: 'invalid_api_key' });
    if (/limit/.test(newest) && !title && this.limited)
      return void refuse(429, { message: 'Rate limit reached', code: 'rate_limit_exceeded' }, { 'Retry-After': '40' });

    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    if (title) {
      res.write(chunk({ content: 'A title of its own' }));
    } else if (/think/.test(text)) {
      res.write(chunk({ reasoning_content: 'First I wonder, ' }));
      res.write(chunk({ reasoning_content: 'then I know.' }));
      await this.hold();
      res.write(chunk({ content: 'It is **42**.' }));
    } else if (/story/.test(text)) {
      let told = false;
      this.hold().then(() => {
        told = true;
      });
      for (let n = 1; !told && !res.destroyed; n++) {
        res.write(chunk({ content: `Part ${n} of what happened then.\n\n` }));
        await sleep(60);
      }
    } else if (/epic/.test(text)) {
      res.write(chunk({ content: 'A part of what happened then.\n\n'.repeat(30) }));
    } else if (/everything/.test(text)) {
      res.write(chunk({ content: everything }));
    } else if (/tool/.test(newest)) {
      const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '' } };
      res.write(chunk({ tool_calls: [call] }));
      res.write(chunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":"Oslo"}' } }] }));
      res.write(chunk({}, 'tool_calls'));
    } else if (/break/.test(newest)) {
      res.write(chunk({ content: 'Half of an ans' }));
      await this.hold();
      res.destroy();
      return;
    } else {
      const images = typeof last === 'string' ? 0 : last.filter((p) => p.type === 'image_url').length;
      res.write(chunk({ content: `Answer of ${asked.model}, with ${images} image${images === 1 ? '' : 's'}.` }));
    }
    if (!/tool/.test(newest)) res.write(chunk({}, 'stop'));
    const usage = {
      prompt_tokens: 1000,
      completion_tokens: 200,
      total_tokens: 1200,
      completion_tokens_details: { reasoning_tokens: 50 },
    };
    res.write(`data: ${JSON.stringify({ choices: [], usage })}\n\n`);
    res.end('data: [DONE]\n\n');
  }
}
