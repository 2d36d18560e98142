/** Sends the letters that wait in the table of mails: each once, in any number of replicas, until its time is up. */

import { ERROR_TABLE } from '@fleetwire/contract';
import {
  asFleetwireError,
  type BackoffPolicy,
  backoffMs,
  type Clock,
  causeChain,
  nowMs,
  pause,
} from '@fleetwire/kernel';
import { Rounds } from '@fleetwire/runtime';
import type { Store, StoreTransaction } from '@fleetwire/store';
import { claimDue, type DueMail, finish, postpone } from './mail-rows.ts';
import type { Mailer } from './mailer.ts';

/** A letter that needs no more tries. */
export interface LetterEnd {
  /** Id of the mail, which is that of the invite. */
  readonly id: string;
  readonly org: string;
  readonly recipient: string;
  readonly state: 'sent' | 'failed';
  readonly attempts: number;
  /** Empty when it was sent. Holds no links. */
  readonly error: string;
  readonly atMs: number;
}

export interface QueueLog {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface MailQueueOptions {
  readonly store: Store;
  readonly mailer: Mailer;
  readonly clock: Clock;
  readonly log: QueueLog;
  /** Part of the transaction that ends the letter, which has locked the org's row: for the audit. */
  onLetter(end: LetterEnd, tx: StoreTransaction): Promise<void>;
  /** Letters at a time. */
  readonly concurrency: number;
  /** What the mailer takes for one letter at most; its claim lasts twice as long. */
  readonly sendTimeoutMs: number;
  readonly retry: BackoffPolicy;
  /** Between two looks when nobody kicks. Default 5,000. */
  readonly pollMs?: number;
  /** How long an end waits for letters under way. Default 5,000. */
  readonly stopMs?: number;
}

export interface MailQueue {
  readonly name: string;
  start(): void;
  /** Takes no more letters, waits for those under way, cuts them off after `stopMs` and leaves them after twice that. */
  stop(): Promise<void>;
  /** Looks soon: something was put in. */
  kick(): void;
}

const SETTLE_RETRY: BackoffPolicy = { initialMs: 50, maxMs: 2_000 };

/** Sends at least once; the stable Message-ID makes a second copy, after a crash, show as one. */
export function createMailQueue(options: MailQueueOptions): MailQueue {
  const { store, mailer, clock, log, concurrency, pollMs = 5_000, stopMs = 5_000 } = options;
  const leaseMs = 2 * options.sendTimeoutMs;
  const underWay = new Set<Promise<void>>();
  const cut = new AbortController();
  const rounds = new Rounds({ name: 'mail', intervalMs: pollMs, log, work: look });

  async function look(): Promise<void> {
    const free = concurrency - underWay.size;
    if (free <= 0) return;
    try {
      for (const mail of await claimDue(store, free, nowMs(clock), leaseMs)) track(deliver(mail));
    } catch (error) {
      log.warn({ cause: causeChain(error) }, 'cannot look for letters');
    }
  }

  function track(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => log.error({ cause: causeChain(error) }, 'a letter is left to its next try'))
      .finally(() => {
        underWay.delete(tracked);
        rounds.kick();
      });
    underWay.add(tracked);
  }

  async function deliver(mail: DueMail): Promise<void> {
    if (mail.untilMs <= nowMs(clock)) return end(mail, 'failed', mail.error || 'its time was up');
    const error = await trySend(mail);
    if (error === undefined) return end(mail, 'sent', '');
    const said = withoutLinks(error.message);
    const nextAtMs = nowMs(clock) + backoffMs(options.retry, mail.attempts - 1);
    const final = error.reason !== 'MAIL_NOT_SENT' || nextAtMs >= mail.untilMs;
    log.warn(
      { mail: mail.id, org: mail.org, attempts: mail.attempts, final, error: said },
      'a letter was not sent',
    );
    if (final) return end(mail, 'failed', said);
    await settled(() => postpone(store, mail, nextAtMs, said));
  }

  async function trySend(mail: DueMail) {
    try {
      const { text, html } = JSON.parse(mail.body) as { text: string; html?: string };
      const { recipient: to, subject, id: messageId } = mail;
      await mailer.send({ to, subject, text, html, messageId, signal: cut.signal });
      return undefined;
    } catch (thrown) {
      return asFleetwireError(thrown);
    }
  }

  async function end(mail: DueMail, state: LetterEnd['state'], error: string): Promise<void> {
    const { id, org, recipient, attempts } = mail;
    try {
      await settled(() =>
        store.transaction(async (tx) => {
          if (!(await finish(tx, mail, state, error))) return;
          await options.onLetter({ id, org, recipient, state, attempts, error, atMs: nowMs(clock) }, tx);
        }),
      );
    } catch (thrown) {
      if (retryable(thrown)) throw thrown;
      // What happened to the letter has happened: it is not sent again because nobody could be told.
      log.error({ mail: id, org, state, cause: causeChain(thrown) }, 'the end of a letter could not be told');
      await settled(() => store.transaction(async (tx) => void (await finish(tx, mail, state, error))));
    }
  }

  /** For as long as the database is away: nobody else can claim the letter then, and send it twice. */
  async function settled(write: () => Promise<void>): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await write();
      } catch (error) {
        if (cut.signal.aborted || !retryable(error)) throw error;
        log.debug({ cause: causeChain(error) }, 'a letter cannot be settled yet');
        await pause(backoffMs(SETTLE_RETRY, attempt), cut.signal);
      }
    }
  }

  return {
    name: rounds.name,
    start: () => rounds.start(),
    async stop() {
      await rounds.stop();
      const drained = new AbortController();
      const finished = Promise.all(underWay).finally(() => drained.abort());
      await pause(stopMs, drained.signal);
      cut.abort();
      // Cut off, a try still has to be written down.
      await Promise.race([finished, pause(stopMs, drained.signal)]);
      await mailer.close();
    },
    kick: () => rounds.kick(),
  };
}

const retryable = (thrown: unknown): boolean => ERROR_TABLE[asFleetwireError(thrown).kind].retryable;

/** A mail server may repeat what it did not like, and the link is a secret. */
const withoutLinks = (text: string): string =>
  text
    .replace(/\bhttps?:\S+|\bfwi_[\w-]+/gi, '[link]')
    .replace(/\s+/g, ' ')
    .slice(0, 500);
