/** A table of mails on real PostgreSQL, queues on it, and a clock that tests move. */

import { type Clock, nowMs, systemClock } from '@fleetwire/kernel';
import { openStore, type Store } from '@fleetwire/store';
import { startTestPostgres } from '@fleetwire/testkit';
import type { Mailer } from '../../src/mail/mailer.ts';
import {
  createMailQueue,
  type LetterEnd,
  type MailQueue,
  type MailQueueOptions,
} from '../../src/mail/queue.ts';
import { createSmtpMailer } from '../../src/mail/smtp.ts';
import { Mail, type MailRow } from '../../src/store/entities.ts';
import { OWN_SCHEMA } from '../own-schema.ts';

export const HOUR = 3_600_000;

export interface World extends AsyncDisposable {
  readonly store: Store;
  readonly ends: LetterEnd[];
  readonly logged: Record<string, unknown>[];
  readonly clock: Clock;
  /** Moves the clock on. */
  pass(ms: number): void;
  put(id: string, row?: Partial<MailRow>): Promise<void>;
  row(id: string): Promise<MailRow>;
  /** A queue that is started; ended with the world. */
  queue(options: Partial<MailQueueOptions> & Pick<MailQueueOptions, 'mailer'>): MailQueue;
}

export async function world(): Promise<World> {
  await using building = new AsyncDisposableStack();
  const { url } = building.use(await startTestPostgres());
  const store = await openStore({ ...OWN_SCHEMA, url, poolMax: 8 });
  building.defer(() => store.close());
  const closing = building.move();
  let passed = 0;
  const clock: Clock = { ...systemClock, nowUs: () => systemClock.nowUs() + passed * 1000 };
  const ends: LetterEnd[] = [];
  const logged: Record<string, unknown>[] = [];
  const log = (fields: object) => void logged.push(fields as Record<string, unknown>);
  return {
    store,
    ends,
    logged,
    clock,
    pass: (ms) => {
      passed += ms;
    },
    put: async (id, row = {}) => {
      const body = JSON.stringify({ text: `text of ${id}`, html: `<p>${id}</p>` });
      const rest = { recipient: `${id}@acme.test`, subject: `letter ${id}`, body, error: '', attempts: 0 };
      const times = { nextAtMs: nowMs(clock), untilMs: nowMs(clock) + HOUR };
      await store.run((em) =>
        em.insert(Mail, { id, org: 'o_1', state: 'waiting', ...rest, ...times, ...row }),
      );
    },
    row: (id) => store.run((em) => em.findOneOrFail(Mail, { id })),
    queue: (options) => {
      const queue = createMailQueue({
        store,
        clock,
        log: { debug: log, warn: log, error: log },
        onLetter: async (end) => void ends.push(end),
        concurrency: 3,
        sendTimeoutMs: 20_000,
        retry: { initialMs: 1, maxMs: 2 },
        pollMs: 10,
        stopMs: 50,
        ...options,
      });
      queue.start();
      closing.defer(() => queue.stop());
      return queue;
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

export const bySmtp = (url: string, timeoutMs = 20_000): Mailer =>
  createSmtpMailer({ url, from: 'fleet@hub.test', timeoutMs });

/** A mailer that notes what it is given and does as it is told. */
export function noting(act: (id: string, signal: AbortSignal) => Promise<void> = async () => undefined) {
  const sent: string[] = [];
  const mailer: Mailer = {
    send: async ({ messageId, signal }) => {
      sent.push(messageId);
      await act(messageId, signal!);
    },
    close() {},
  };
  return { sent, mailer };
}
