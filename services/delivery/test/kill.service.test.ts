/**
 * Goal: whatever is killed while 50,000 receipts come, late, twice and in any order, the final stages are those of a model.
 * Method: delivery as a process on a real nats-server and PostgreSQL; a seeded workload; delivery is killed again and again, and
 * PostgreSQL is stopped and started twice. The model knows the rule and nothing of the code that keeps it.
 */

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { type Broker, connectBroker } from '@fleetwire/broker';
import { DELIVERY_HISTORY, DELIVERY_RECEIPTS, receiptSubject } from '@fleetwire/contract';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { type Envelope, type Receipt, Stage } from '@fleetwire/gen/message';
import { createTokenSigner, ensureKeys } from '@fleetwire/identity';
import { newId, pause, slices } from '@fleetwire/kernel';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';
import { bootstrapFabric } from '@fleetwire/runtime';
import {
  eventually,
  type OwnPostgres,
  type ServiceProcess,
  seededRandom,
  serviceProcess,
  startOwnPostgres,
  startTestNats,
  tempFolder,
} from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import * as sample from './sample-traffic.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const RECEIPTS = 50_000;
const PACK = 40;
const KILLS = 4;
const { HELD, DELIVERED, CONFIRMED, UNCONFIRMED, EXPIRED, RETURNED, DEAD } = Stage;
const ENDS: readonly Stage[] = [CONFIRMED, UNCONFIRMED, EXPIRED, RETURNED, DEAD];

/** One thing that was said, and when: later things have later times, but reach history in any order. */
interface Said {
  readonly message: Envelope;
  readonly recipient: string;
  readonly stage: Stage;
  readonly atUs: number;
}

/** The rule in words of its own: the first end holds, unless proof can change it; without an end the furthest stage. */
function modelOf(said: readonly Said[]): readonly [Stage, boolean] {
  const ends = said.filter(({ stage }) => ENDS.includes(stage)).sort((a, b) => a.atUs - b.atUs);
  if (ends.length === 0) return [said.some(({ stage }) => stage === DELIVERED) ? DELIVERED : HELD, false];
  const first = ends[0]!.stage;
  if (first === DEAD || first === CONFIRMED) return [first, true];
  return [ends.some(({ stage }) => stage === CONFIRMED) ? CONFIRMED : first, true];
}

describe('delivery that is killed while receipts come', function () {
  this.timeout(240_000);
  const stack = new AsyncDisposableStack();
  let broker: Broker;
  let postgres: OwnPostgres;
  let delivery: ServiceProcess;
  let client: RpcClient<DeliveryServiceDefinition>;

  before(async () => {
    const nats = stack.use(await startTestNats());
    postgres = stack.use(await startOwnPostgres({}));
    const keys = stack.use(tempFolder('keys'));
    broker = await connectBroker({ urls: [nats.url], name: 'test', waitMs: 5000 });
    stack.defer(() => broker.close());
    await bootstrapFabric({ natsUrls: [nats.url], singleTenant: true, partitions: 1 });
    await broker.consumers.remove('INGRESS', 'router-p0-e0');
    await sample.putRoutes(broker);
    await ensureKeys(keys.path, { services: ['org', 'registry', 'router', 'delivery'] });
    const env = {
      FLEETWIRE_NATS_URL: nats.url,
      FLEETWIRE_NATS_SINGLE_TENANT: 'true',
      FLEETWIRE_DATABASE_URL: postgres.url,
      FLEETWIRE_KEYS_DIR: keys.path,
      FLEETWIRE_LOG_LEVEL: 'warn',
      FLEETWIRE_DELIVERY_RETRY_MAX_MS: '200',
    };
    delivery = stack.use(await serviceProcess({ name: 'delivery', main: MAIN, env }));
    await delivery.start();
    const signer = await createTokenSigner(keys.path, 'org');
    const { token } = await signer.sign({
      sub: newId('user'),
      org: sample.ORG,
      scopes: ['read', 'admin'],
      lifetimeMs: 3_600_000,
    });
    client = createRpcClient(DeliveryServiceDefinition, { address: delivery.address, token: () => token });
    stack.defer(() => client.close());
  });
  after(() => stack.disposeAsync());

  it('ends every message as the model says', async () => {
    const below = seededRandom();
    const random = () => below(1_000_000) / 1_000_000;
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const messages: Envelope[] = [];
    const said: Said[] = [];
    const truth = new Map<string, Said[]>();
    while (said.length < RECEIPTS) {
      const message = sample.envelope({ body: new Uint8Array(32) });
      messages.push(message);
      for (const recipient of random() < 0.15 ? [sample.BOB, sample.CAROL] : [sample.BOB]) {
        const stages: Stage[] = [...(random() < 0.6 ? [HELD] : []), ...(random() < 0.4 ? [DELIVERED] : [])];
        const ends = random() < 0.05 ? 0 : random() < 0.25 ? 2 : 1;
        for (let i = 0; i < ends; i++) stages.push(pick(ENDS));
        if (stages.length === 0) stages.push(HELD);
        const own = stages.map(
          (stage, i): Said => ({
            message,
            recipient,
            stage,
            atUs: message.acceptedAtUs + 1000 + i * 10 + Math.floor(random() * 9),
          }),
        );
        truth.set(`${message.id} ${recipient}`, own);
        for (const one of own) {
          said.push(one);
          if (random() < 0.2) said.push(one);
        }
      }
    }
    for (let i = said.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [said[i], said[j]] = [said[j]!, said[i]!];
    }
    await Promise.all([publishAll(messages, said), disturb(random)]);
    await drained();
    // Some came again, because they were not acknowledged when delivery was killed.
    const receipts = await broker.consumers.info('RECEIPTS', DELIVERY_RECEIPTS.durable_name);
    assert.ok(receipts!.deliveredSequence > receipts!.delivered);
    await compare(messages, truth);
  });

  const receiptOf = ({ message, recipient, stage, atUs }: Said): Receipt =>
    sample.receiptFor(message, stage, {
      recipient,
      final: ENDS.includes(stage),
      hops: [
        sample.hop(Stage.ACCEPTED, sample.NODE_A, message.acceptedAtUs),
        sample.hop(stage, sample.NODE_B, atUs),
      ],
    });

  let published = 0;
  /** The part of the receipts that is stored. */
  let progress = 0;
  /** As a node does: the same again until it is stored. */
  async function put(subject: string, payload: Uint8Array): Promise<void> {
    await broker.store(subject, payload, { msgId: `kill-${published++}`, timeoutMs: 30_000 });
  }

  async function publishAll(messages: readonly Envelope[], said: readonly Said[]): Promise<void> {
    const subject = receiptSubject.build({ org: sample.ORG, toNode: sample.NODE_A, from: sample.NODE_B });
    const packs = [...slices(said, PACK)];
    const history = [...slices(messages, PACK)];
    for (const [i, pack] of packs.entries()) {
      const some = history[i];
      if (some !== undefined) await put(sample.INGRESS_SUBJECT, sample.ingressPack(some));
      await put(subject, sample.receiptBatch(pack.map(receiptOf)));
      progress = (i + 1) / packs.length;
      // What is published while nobody reads is read at once: some of it is to come while somebody does.
      if (i % 10 === 0) await pause(40);
    }
  }

  async function disturb(random: () => number): Promise<void> {
    for (let i = 0; i < KILLS; i++) {
      const at = (i + 0.3 + random() * 0.6) / KILLS;
      await eventually(() => progress >= at, { timeoutMs: 60_000, everyMs: 2 });
      assert.ok(progress < 1, 'all was published before the last fault');
      await delivery.kill();
      const away = i % 2 === 1;
      if (away) await postgres.kill();
      const starting = delivery.start();
      if (away) {
        await pause(300 + random() * 700);
        await postgres.restart();
      }
      await starting;
    }
  }

  async function drained(): Promise<void> {
    const done = async () => {
      for (const { stream, durable_name } of [DELIVERY_HISTORY, DELIVERY_RECEIPTS]) {
        const info = await broker.consumers.info(stream, durable_name);
        if (info === undefined || info.numPending > 0 || info.numAckPending > 0) return false;
      }
      return true;
    };
    await eventually(done, { timeoutMs: 120_000, everyMs: 100 });
  }

  async function compare(messages: readonly Envelope[], truth: ReadonlyMap<string, Said[]>): Promise<void> {
    let compared = 0;
    for (const some of slices(messages, 16))
      await Promise.all(
        some.map(async ({ id }) => {
          const { message } = await client.getMessage({ id });
          assert.equal(message?.fromName, 'alice', `history of ${id}`);
          for (const { recipient, stage, final } of message.settlements) {
            const own = truth.get(`${id} ${recipient}`);
            assert.deepEqual(
              [stage, final],
              modelOf(own ?? []),
              `${id} ${recipient}: ${JSON.stringify(own?.map((one) => [one.stage, one.atUs]))}`,
            );
            compared++;
          }
        }),
      );
    assert.equal(compared, truth.size);
  }
});
