/**
 * Asks the servers whether one consumer's acknowledgement can delete what belongs to another on a work queue. Those of the
 * 2.9 line believe the stream sequence in the subject of an acknowledgement, whoever sends it and whatever was delivered.
 */

import { randomBytes } from 'node:crypto';
import { filters, PROBE_CONSUMER, PROBE_STREAM, probeSubject } from '@fleetwire/contract';
import { FleetwireError, pause } from '@fleetwire/kernel';
import type { Correlator } from './correlator.ts';
import { headerBlock } from './headers.ts';
import { ERR_CODES, isJetstreamError } from './jetstream-errors.ts';
import type { Link } from './link.ts';
import { storeWith } from './publisher.ts';
import type { PullOptions, PullSession } from './pull-session.ts';
import type { JetstreamApi } from './request.ts';
import type { StoredMessages } from './stored-messages.ts';

export interface ProbePorts {
  readonly link: Link;
  readonly api: JetstreamApi;
  readonly messages: StoredMessages;
  pull(stream: string, consumer: string, o: PullOptions): PullSession;
  readonly correlator: Correlator;
  readonly publishTimeoutMs: number;
}

/** A probe takes moments; a stream of one that is older was left by a crash. */
const ABANDONED_MS = 60_000;
const PROBE_BYTES = 64 * 1024;
const SETTLE_MS = 5000;
const LOOK_MS = 20;

/** See `Broker.probeAcks`. */
export async function probeAcks(ports: ProbePorts): Promise<boolean> {
  const { api } = ports;
  await removeAbandoned(api);
  // Two bootstraps at once do not meet; the time tells which were abandoned.
  const run = `${Date.now()}-${randomBytes(4).toString('hex')}`;
  const stream = PROBE_STREAM + run;
  const subject = (side: string) => probeSubject.build({ run, side });
  await api.call(`STREAM.CREATE.${stream}`, {
    name: stream,
    subjects: [subject('mine'), subject('theirs')],
    retention: 'workqueue',
    discard: 'new',
    storage: 'memory',
    num_replicas: 1,
    max_bytes: PROBE_BYTES,
  });
  try {
    await makeConsumer(api, stream, PROBE_CONSUMER, subject('mine'));
    await makeConsumer(api, stream, `${PROBE_CONSUMER}-theirs`, subject('theirs'));
    return await attack(ports, stream, subject);
  } finally {
    await remove(api, stream);
  }
}

/** By a consumer that nothing was delivered to, and by one that has a message: are those of the other still there? */
async function attack(
  { link, messages, pull, correlator, publishTimeoutMs }: ProbePorts,
  stream: string,
  subject: (side: string) => string,
): Promise<boolean> {
  const put = async (side: string) =>
    (await storeWith(correlator, subject(side), headerBlock(''), Buffer.from('{}'), publishTimeoutMs))
      .sequence;
  const say = (sequence: number, word: string) => {
    const about = `1.${sequence}.1.${Date.now()}000000.0`;
    link.publish(`$JS.ACK.${stream}.${PROBE_CONSUMER}.${about}`, '', '', Buffer.from(word));
  };
  const theirs = [await put('theirs'), await put('theirs'), await put('theirs')] as const;
  const mine = await put('mine');
  say(theirs[0], '+ACK');
  const until = Date.now() + SETTLE_MS;
  const session = pull(stream, PROBE_CONSUMER, { batch: 1 });
  const late = setTimeout(() => void session.stop(), SETTLE_MS).unref();
  for await (const [delivered] of session) {
    say(theirs[1], '+ACK');
    say(theirs[2], '+TERM');
    // A consumer's acknowledgements are dealt with one after the other: after this one, all of them were.
    delivered!.ack();
    break;
  }
  clearTimeout(late);
  while ((await messages.get(stream, mine)) !== undefined) {
    if (Date.now() > until) throw unanswered(stream);
    await pause(LOOK_MS);
  }
  for (const sequence of theirs) if ((await messages.get(stream, sequence)) === undefined) return false;
  return true;
}

function unanswered(stream: string): FleetwireError {
  const said = `the servers did not deal with an acknowledgement on ${stream} in time`;
  return new FleetwireError('unavailable', 'PROBE_UNANSWERED', said);
}

async function makeConsumer(
  api: JetstreamApi,
  stream: string,
  name: string,
  filter_subject: string,
): Promise<void> {
  const config = { name, durable_name: name, filter_subject, ack_policy: 'explicit', deliver_policy: 'all' };
  await api.call(`CONSUMER.CREATE.${stream}.${name}.${filter_subject}`, { stream_name: stream, config });
}

async function removeAbandoned(api: JetstreamApi): Promise<void> {
  const query = { subject: filters.allProbes };
  const { streams } = await api.call<{ streams?: string[] | null }>('STREAM.NAMES', query);
  for (const name of streams ?? []) {
    const startedMs = Number.parseInt(name.slice(PROBE_STREAM.length), 10);
    if (name.startsWith(PROBE_STREAM) && Date.now() - startedMs > ABANDONED_MS) await remove(api, name);
  }
}

async function remove(api: JetstreamApi, stream: string): Promise<void> {
  await api.call(`STREAM.DELETE.${stream}`).catch((error: unknown) => {
    if (!isJetstreamError(error, ERR_CODES.streamNotFound)) throw error;
  });
}
