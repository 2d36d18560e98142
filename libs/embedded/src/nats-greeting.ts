/** What a NATS server says of itself to everybody who connects. */

import { connect } from 'node:net';

export interface NatsGreeting {
  readonly version: string;
  readonly jetstream?: boolean;
  /** It lets nobody in without credentials. */
  readonly auth_required?: boolean;
}

/** As `readGreeting`, of the server at a URL like nats://host:4222. */
export function natsGreeting(url: string): Promise<NatsGreeting | undefined> {
  const parsed = URL.parse(url.includes('://') ? url : `nats://${url}`);
  if (parsed === null || parsed.hostname === '') return Promise.resolve(undefined);
  return readGreeting({ host: parsed.hostname, port: Number(parsed.port || 4222) });
}

/** The INFO line; undefined when none comes within a second. */
export function readGreeting(at: { host: string; port: number }): Promise<NatsGreeting | undefined> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ host: at.host.replace(/^\[|\]$/g, ''), port: at.port, timeout: 1000 });
    const done = (info?: NatsGreeting) => {
      socket.destroy();
      resolve(info);
    };
    socket.on('error', () => done());
    socket.on('close', () => done());
    socket.on('timeout', () => done());
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
      const line = /^INFO (\{.*\})\s*\r\n/.exec(text);
      if (line !== null) done(JSON.parse(line[1]!) as NatsGreeting);
    });
  });
}
