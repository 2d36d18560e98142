/** A delivery of dead letters for tests: its handlers on a real PostgreSQL, and a broker that can fail. */

import { dedupeIds, type PulledMessage } from '@fleetwire/broker';
import {
  deadSubject,
  ingressSubject,
  nodeDeadSubject,
  REPLAYS,
  UNKNOWN_RECIPIENT,
} from '@fleetwire/contract';
import { LetterFilter, ReplayDeadLettersRequest } from '@fleetwire/gen/delivery';
import { Event } from '@fleetwire/gen/event';
import { DeadLetter, Envelope, IngressPack, Stage } from '@fleetwire/gen/message';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, newId, newMessageId, systemClock } from '@fleetwire/kernel';
import type { RpcContext } from '@fleetwire/rpc';
import { openStore, type Store } from '@fleetwire/store';
import { startTestPostgres, type TestPostgres } from '@fleetwire/testkit';
import { after, before, beforeEach } from 'mocha';
import type { HistoryMode } from '../src/domain/history-mode.ts';
import { deadLetterSource } from '../src/handlers/dead-letters.ts';
import { historySource } from '../src/handlers/history.ts';
import type { IngestSource } from '../src/handlers/ingest-loop.ts';
import { letterHandlers } from '../src/handlers/letter-rpc.ts';
import { LetterTask } from '../src/handlers/letter-task.ts';
import { messageHandlers } from '../src/handlers/message-rpc.ts';
import { entities } from '../src/store/entities.ts';
import { migrations } from '../src/store/migrations.ts';
import * as sample from './sample-traffic.ts';

export const ADMIN = newId('user');
export const CAROL = newId('agent');

/** What tests change, and what they look at; each test has an w.org of its own. */
interface State {
  store: Store;
  letters: ReturnType<typeof letterHandlers>;
  answers: ReturnType<typeof messageHandlers>;
  task: LetterTask;
  /** Ids of those that are there. */
  agents: Set<string>;
  /** By dedupe id. */
  published: Map<string, { subject: string; payload: Uint8Array }>;
  /** Publishes until the broker is away. */
  failAfter: number;
  /** Not 0: the broker stores what comes from now on after all requests have begun. */
  laterUs: number;
  org: string;
  mode: HistoryMode;
}

/** To be called within a suite, whose hooks open and close it. */
export function lettersWorld() {
  const w = { mode: 'full', failAfter: Number.POSITIVE_INFINITY, laterUs: 0, org: sample.ORG } as State;
  let postgres: TestPostgres;
  let store: Store;
  let sequence = 0;

  before(async () => {
    postgres = await startTestPostgres();
    const options = { url: postgres.url, schema: 'delivery', entities, migrations, poolMax: 3, asks: true };
    store = await openStore({ ...options, applicationName: 'letters' });
    w.store = store;
    const publish = (subject: string, payload: Uint8Array, { msgId }: { msgId?: string }) => {
      if (w.failAfter-- <= 0) return Promise.reject(new FleetwireError('unavailable', 'BROKER_AWAY', 'away'));
      if (!w.published.has(msgId!)) w.published.set(msgId!, { subject, payload });
      return Promise.resolve({ duplicate: false } as never);
    };
    const ids = dedupeIds(new Uint8Array(32));
    const desk = { store, clock: systemClock, publish, ids, instance: 'delivery-1', partitions: 8 };
    const audit = { store, publish, ids };
    const roster = {
      agents: (_: string, wanted: Iterable<string>) =>
        Promise.resolve(new Set([...wanted].filter((id) => w.agents.has(id)))),
      nodeNames: () => Promise.resolve({}),
    };
    w.letters = letterHandlers({ store, clock: systemClock, roster, desk, audit, bytesMax: 4_000_000 });
    w.answers = messageHandlers({
      store,
      clock: systemClock,
      limits: { recipientsMax: 9, recipientsListed: 9, pageBytes: 1_000_000, walkedMax: 1000 },
      modes: () => w.mode,
      roster,
      progress: () => [],
      starts: () => Promise.resolve([]),
    });
    const log = { warn: () => undefined } as never;
    w.task = new LetterTask({ desk, audit, clock: systemClock, log, intervalMs: 20, leaveMs: -1000 });
  });

  beforeEach(() => {
    w.agents = new Set([sample.ALICE, sample.BOB, CAROL]);
    w.published = new Map();
    w.failAfter = Number.POSITIVE_INFINITY;
    w.laterUs = 0;
    w.mode = 'full';
    w.org = newId('org');
  });

  after(async () => {
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  const as = (scopes: string[] = ['admin'], of = w.org, kind = 'user'): RpcContext<Caller> =>
    ({ caller: { kind, subject: ADMIN, org: of, scopes } }) as unknown as RpcContext<Caller>;

  const reason = (wanted: string) => (error: unknown) =>
    error instanceof FleetwireError && error.reason === wanted;

  async function ingest<Row>(source: IngestSource<Row>, subject: string, data: Uint8Array): Promise<void> {
    const storedAtUs = (w.laterUs || 1_790_000_000_000_000) + ++sequence;
    const none = () => undefined;
    const message = { subject, data, sequence, deliverySequence: sequence, deliveries: 1, storedAtUs };
    const pulled: PulledMessage = { ...message, header: () => '', ack: none, working: none, nak: none };
    const { rows } = source.read(pulled);
    await source.save(source.combine([...rows]));
  }

  const envelope = (more: Partial<Envelope> = {}) => sample.envelope({ org: w.org, ...more });

  /** As a router writes it of what leads to nobody. */
  async function buried(message: Envelope, more: Partial<DeadLetter> = {}): Promise<void> {
    const hops = [
      sample.hop(Stage.DEAD, 'router-1', message.acceptedAtUs + 9, {
        reason: 'UNKNOWN_AGENT',
        attempt: message.attempt,
      }),
    ];
    const node = message.attempt > 0 ? REPLAYS : sample.NODE_A;
    const letter = {
      envelope: Envelope.encode(message).finish(),
      decoded: true,
      reason: 'UNKNOWN_AGENT',
      detail: 'no agent "bob"',
      subject: ingressSubject.build({ partition: 0, org: w.org, node }),
      streamSeq: 7,
      hops,
      ...more,
    };
    const subject = deadSubject.build({ org: w.org, agent: UNKNOWN_RECIPIENT });
    await ingest(
      deadLetterSource(store, sample.ANYBODY, () => w.mode),
      subject,
      DeadLetter.encode(letter).finish(),
    );
  }

  /** As the recipient's node writes it when the queue of BOB is full. */
  async function overflowed(message: Envelope, node = sample.NODE_B): Promise<void> {
    const { attempt } = message;
    const hops = [
      sample.hop(Stage.DEAD, node, message.acceptedAtUs + 9, { reason: 'QUEUE_OVERFLOW', attempt }),
    ];
    const letter = {
      envelope: Envelope.encode(message).finish(),
      decoded: true,
      reason: 'QUEUE_OVERFLOW',
      hops,
    };
    const subject = nodeDeadSubject.build({ org: w.org, agent: sample.BOB, node });
    await ingest(
      deadLetterSource(store, sample.ANYBODY, () => w.mode),
      subject,
      DeadLetter.encode(DeadLetter.fromPartial(letter)).finish(),
    );
  }

  const remember = (...messages: Envelope[]) =>
    ingest(
      historySource(store),
      ingressSubject.build({ partition: 0, org: w.org, node: sample.NODE_A }),
      sample.ingressPack(messages),
    );

  const list = async (filter: Partial<LetterFilter> = {}, scopes: string[] = []) => {
    const whole = LetterFilter.fromPartial(filter);
    return (await w.letters.listDeadLetters({ filter: whole, pageSize: 0, pageToken: '' }, as(scopes)))
      .letters!;
  };

  const request = (more: Partial<ReplayDeadLettersRequest>): ReplayDeadLettersRequest =>
    ReplayDeadLettersRequest.fromPartial({ requestId: newMessageId(), ...more });

  const replay = (more: Partial<ReplayDeadLettersRequest>) =>
    w.letters.replayDeadLetters(request(more), as());

  const sentAgain = () =>
    [...w.published.values()]
      .filter(({ subject }) => ingressSubject.parse(subject)?.node === REPLAYS)
      .flatMap(({ payload }) => IngressPack.decode(payload).envelopes.map((one) => Envelope.decode(one)));

  const audited = () =>
    [...w.published.values()]
      .filter(({ subject }) => subject === `fw.v1.event.${w.org}.delivery.acted`)
      .map(({ payload }) => Event.decode(payload))
      .map(({ actor, details }) => [actor, details['action'], details['count'], details['selection']]);

  return Object.assign(w, {
    as,
    reason,
    ingest,
    envelope,
    buried,
    overflowed,
    remember,
    list,
    request,
    replay,
    sentAgain,
    audited,
  });
}
