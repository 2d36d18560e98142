/** A real SMTP server for tests: what it was sent, and how it answers each step. */

import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

export interface TakenLetter {
  readonly from: string;
  readonly to: readonly string[];
  /** As it came, header and all. */
  readonly raw: string;
  /** Names of the header fields, in lower case, in order. */
  readonly fields: readonly string[];
  /** The unfolded value of a field, of the only one of that name. */
  field(name: string): string;
}

export interface TestSmtp extends AsyncDisposable {
  readonly port: number;
  /** `smtp://127.0.0.1:port`. */
  readonly url: string;
  readonly taken: TakenLetter[];
}

/** An error that the server answers with this code. */
export function refusal(responseCode: number, message = 'refused'): Error {
  return Object.assign(new Error(message), { responseCode });
}

type Step = () => Error | undefined;

export async function startSmtp(
  steps: { readonly onSender?: Step; readonly onRecipient?: Step; readonly onLetter?: Step } = {},
  options: SMTPServerOptions & { readonly port?: number } = {},
): Promise<TestSmtp> {
  const taken: TakenLetter[] = [];
  const { port = 0, ...rest } = options;
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    disableReverseLookup: true,
    closeTimeout: 1,
    onMailFrom: (_address, _session, done) => done(steps.onSender?.()),
    onRcptTo: (_address, _session, done) => done(steps.onRecipient?.()),
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const error = steps.onLetter?.();
        const { mailFrom, rcptTo } = session.envelope;
        const from = mailFrom === false ? '' : mailFrom.address;
        if (!error)
          taken.push(
            letterOf(
              from,
              rcptTo.map((each) => each.address),
              Buffer.concat(chunks).toString(),
            ),
          );
        done(error);
      });
    },
    ...rest,
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  const bound = (server.server.address() as AddressInfo).port;
  return {
    port: bound,
    url: `smtp://127.0.0.1:${bound}`,
    taken,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

function letterOf(from: string, to: readonly string[], raw: string): TakenLetter {
  const head = raw.slice(0, raw.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ');
  const lines = head.split('\r\n').map((line) => {
    const at = line.indexOf(':');
    return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()] as const;
  });
  return {
    from,
    to,
    raw,
    fields: lines.map(([name]) => name),
    field: (name) => {
      const found = lines.filter(([each]) => each === name);
      if (found.length !== 1) throw new Error(`${found.length} fields are called ${name}`);
      return found[0]![1];
    },
  };
}
