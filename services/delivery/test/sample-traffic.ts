/** Made-up traffic for tests and measurements: envelopes in packs, and the receipts that a healthy fabric sends. */

import type { Broker, PulledMessage } from '@fleetwire/broker';
import { ingressSubject, ROUTES_BUCKET, receiptSubject, routeKey } from '@fleetwire/contract';
import type { Hop, Receipt } from '@fleetwire/gen/message';
import {
  Envelope,
  IngressPack,
  ReceiptBatch,
  Receipt as ReceiptCodec,
  Route,
  Stage,
} from '@fleetwire/gen/message';
import { newId, newMessageId } from '@fleetwire/kernel';
import { Homes } from '../src/domain/homes.ts';

export const ORG = newId('org');
export const NODE_A = newId('node');
export const NODE_B = newId('node');
export const ALICE = newId('agent');
export const BOB = newId('agent');
/** Lives where Bob does. */
export const CAROL = newId('agent');
/** Lives nowhere until a test says so. */
export const DAVE = newId('agent');

export const INGRESS_SUBJECT = ingressSubject.build({ partition: 0, org: ORG, node: NODE_A });
export const RECEIPT_SUBJECT = receiptSubject.build({ org: ORG, toNode: NODE_A, from: NODE_B });

/** Whoever says it: for tests that are about something else. */
export const ANYBODY = { isHome: () => true };

/** Bob and Carol live on NODE_B, Alice on NODE_A. */
export function homes(): Homes {
  const known = new Homes(100);
  known.lives(ORG, BOB, NODE_B, '', 1);
  known.lives(ORG, CAROL, NODE_B, '', 1);
  known.lives(ORG, ALICE, NODE_A, '', 1);
  return known;
}

/** The same in the routing table. */
export async function putRoutes(broker: Pick<Broker, 'bucket'>, org = ORG): Promise<void> {
  const bucket = await broker.bucket(ROUTES_BUCKET);
  await bucket.put(routeKey(org, BOB), routeOf(BOB, 'bob', NODE_B));
  await bucket.put(routeKey(org, CAROL), routeOf(CAROL, 'carol', NODE_B));
  await bucket.put(routeKey(org, ALICE), routeOf(ALICE, 'alice', NODE_A));
}

export function routeOf(agent: string, name: string, node: string, more: Partial<Route> = {}): Uint8Array {
  return Route.encode(Route.fromPartial({ agent, name, node, nodeName: 'some', epoch: 1, ...more })).finish();
}

const START_US = 1_790_000_000_000_000;
let made = 0;

export function envelope(more: Partial<Envelope> = {}): Envelope {
  const id = newMessageId();
  return Envelope.fromPartial({
    id,
    org: ORG,
    fromAgent: ALICE,
    fromName: 'alice',
    fromNode: NODE_A,
    to: 'bob',
    correlationId: id,
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    acceptedAtUs: START_US + made++ * 1000,
    ttlMs: 300_000,
    body: new Uint8Array(256).fill(97),
    ...more,
  });
}

export function hop(stage: Stage, instance: string, atUs: number, more: Partial<Hop> = {}): Hop {
  const service = instance.startsWith('n_') ? 'node' : instance.startsWith('r') ? 'router' : 'delivery';
  return { stage, service, instance, atUs, reason: '', detail: '', attempt: 0, ...more };
}

/** The way of a message to Bob, up to and including `stage`. */
export function receiptFor(message: Envelope, stage: Stage, more: Partial<Receipt> = {}): Receipt {
  const at = message.acceptedAtUs;
  const way = [
    hop(Stage.ACCEPTED, NODE_A, at),
    hop(Stage.ROUTED, 'router-1', at + 400),
    hop(Stage.HELD, NODE_B, at + 900),
    hop(Stage.DELIVERED, NODE_B, at + 1200),
  ].filter((h) => h.stage <= stage);
  if (stage > Stage.DELIVERED) way.push(hop(stage, NODE_B, at + 2500));
  const { id: messageId, to, fromAgent, correlationId, traceparent } = message;
  const about = { messageId, to, fromAgent, correlationId, traceparent };
  const final = stage > Stage.DELIVERED;
  return ReceiptCodec.fromPartial({
    ...about,
    recipient: BOB,
    recipientName: 'bob',
    stage,
    final,
    hops: way,
    ...more,
  });
}

export function ingressPack(messages: readonly Envelope[]): Uint8Array {
  return IngressPack.encode({ envelopes: messages.map((m) => Envelope.encode(m).finish()) }).finish();
}

export function receiptBatch(receipts: readonly Receipt[]): Uint8Array {
  return ReceiptBatch.encode({ receipts: [...receipts] }).finish();
}

export const ingressSubjectOf = (org: string) => ingressSubject.build({ partition: 0, org, node: NODE_A });
export const receiptSubjectOf = (org: string) => receiptSubject.build({ org, toNode: NODE_A, from: NODE_B });

/** As the broker would give it. */
export function pulled(subject: string, data: Uint8Array, storedAtUs: number): PulledMessage {
  const none = () => undefined;
  const place = { sequence: 1, deliverySequence: 1, deliveries: 1, storedAtUs };
  return { subject, data, ...place, header: () => '', ack: none, working: none, nak: none };
}
