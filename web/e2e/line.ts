import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** The network between a page and its server, which can die without a word. */
export class Line {
  private readonly pairs = new Set<[Socket, Socket]>();
  private readonly listener = createServer((near) => {
    const far = connect(this.port, '127.0.0.1');
    const pair: [Socket, Socket] = [near, far];
    this.pairs.add(pair);
    near.pipe(far);
    far.pipe(near);
    for (const socket of pair) {
      socket.on('error', () => {});
      socket.on('close', () => {
        for (const s of pair) s.destroy();
        this.pairs.delete(pair);
      });
    }
  });
  private readonly port: number;

  constructor(server: string) {
    this.port = Number(new URL(server).port);
  }

  async open(): Promise<string> {
    this.listener.listen(0, '127.0.0.1');
    await once(this.listener, 'listening');
    return `http://127.0.0.1:${(this.listener.address() as AddressInfo).port}`;
  }

  /** What is open carries nothing any more, and nobody is told. */
  die(): void {
    for (const [near, far] of this.pairs) {
      near.unpipe(far);
      far.unpipe(near);
    }
  }

  close(): void {
    this.listener.close();
    for (const pair of this.pairs) for (const s of pair) s.destroy();
  }
}
