// Goal: subjects round-trip and refuse what would not; streams keep the promises of their table; errors map one to one.
// Method: property tests over the builders; examples for the rest.

import { strict as assert } from 'node:assert';
import { ERROR_KINDS, newId } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  bootstrapConsumers,
  deadSubject,
  ERROR_TABLE,
  eventSubject,
  filters,
  flushSubject,
  heartbeatSubject,
  inboxSubject,
  ingressSubject,
  kindOfGrpcCode,
  LIMITS,
  liveSubject,
  messageEventSubject,
  nodeConsumer,
  parseRouterConsumer,
  partitionOf,
  peerSubject,
  receiptSubject,
  routerConsumer,
  streamSpecs,
} from '../src/index.ts';

const token = fc.stringMatching(/^[a-z0-9_-]{1,64}$/);
const number = fc.nat(999_999_999);

/** NATS wildcard matching, https://docs.nats.io/nats-concepts/subjects. */
function matches(filter: string, subject: string): boolean {
  const want = filter.split('.');
  const have = subject.split('.');
  for (const [i, w] of want.entries()) {
    if (w === '>') return have.length > i;
    if (have[i] === undefined || (w !== '*' && w !== have[i])) return false;
  }
  return want.length === have.length;
}

describe('subjects', () => {
  const types = [
    { type: ingressSubject, parts: fc.record({ partition: number, org: token, node: token }) },
    { type: inboxSubject, parts: fc.record({ shard: number, org: token, node: token, agent: token }) },
    { type: receiptSubject, parts: fc.record({ org: token, toNode: token, from: token }) },
    { type: deadSubject, parts: fc.record({ org: token, agent: token }) },
    { type: eventSubject, parts: fc.record({ org: token, service: token, name: token }) },
    { type: messageEventSubject, parts: fc.record({ org: token, name: token }) },
    { type: heartbeatSubject, parts: fc.record({ org: token, node: token }) },
    { type: flushSubject, parts: fc.record({ instance: token }) },
    { type: peerSubject, parts: fc.record({ org: token, to: token, from: token }) },
    { type: liveSubject, parts: fc.record({ org: token, agent: token }) },
  ] as const;

  it('are read back as they were built, and by no other type', () => {
    for (const [i, { type, parts }] of types.entries()) {
      fc.assert(
        fc.property(parts as fc.Arbitrary<never>, (p) => {
          const subject = type.build(p);
          assert.deepEqual({ ...(type.parse(subject) as object) }, { ...(p as object) });
          for (const [k, other] of types.entries())
            if (k !== i) assert.equal(other.type.parse(subject), undefined);
        }),
      );
    }
  });
  it('refuse tokens that would change the subject', () => {
    for (const bad of ['', 'a.b', '*', '>', 'A', 'a b', 'é', 'x'.repeat(65)])
      assert.throws(() => heartbeatSubject.build({ org: bad, node: 'n' }), RangeError);
    for (const bad of [-1, 1.5, Number.NaN, 1e9])
      assert.throws(() => ingressSubject.build({ partition: bad, org: 'o', node: 'n' }), RangeError);
  });
  it('read nothing from foreign text', () => {
    fc.assert(fc.property(fc.string(), (text) => ingressSubject.parse(text) === undefined));
    for (const odd of [
      'fw.v1.ingress.01.o.n',
      'fw.v1.ingress.1.o',
      'fw.v1.ingress.1.o.n.x',
      'fw.v1.ingress.-1.o.n',
    ])
      assert.equal(ingressSubject.parse(odd), undefined);
  });
  it('ids of every type are tokens', () => {
    for (const type of ['org', 'node', 'agent'] as const)
      assert.ok(heartbeatSubject.build({ org: newId(type), node: newId(type) }));
  });
  it('filters match their own and nothing beside', () => {
    const mine = receiptSubject.build({ org: 'o1', toNode: 'n1', from: 'n2' });
    assert.ok(matches(filters.receiptsToNode('o1', 'n1'), mine));
    assert.ok(matches(filters.receiptsFrom('o1', 'n2'), mine));
    assert.ok(!matches(filters.receiptsToNode('o1', 'n3'), mine));
    assert.ok(!matches(filters.receiptsOfOrg('o2'), mine));
    const ingress = ingressSubject.build({ partition: 3, org: 'o1', node: 'n1' });
    assert.ok(
      matches(filters.ingressOfPartition(3), ingress) && !matches(filters.ingressOfPartition(4), ingress),
    );
    assert.ok(matches(filters.ingressOfOrg('o1'), ingress) && !matches(filters.ingressOfOrg('o2'), ingress));
  });
});

describe('streams and consumers', () => {
  it('do not overlap', () => {
    const all = streamSpecs().flatMap((s) => s.subjects);
    assert.equal(new Set(all.map((s) => s.split('.')[2])).size, all.length);
  });
  it('ingress has no age, refuses when full, and a consumer waits on every partition', () => {
    const ingress = streamSpecs().find((s) => s.name === 'INGRESS')!;
    assert.equal(ingress.max_age, 0);
    assert.equal(ingress.discard, 'new');
    assert.equal(ingress.retention, 'interest');
    const consumers = bootstrapConsumers(8).filter((c) => c.stream === 'INGRESS');
    assert.equal(consumers.length, 9);
    assert.ok(consumers.every((c) => c.max_deliver === -1));
  });
  it('a router durable tells its partition and epoch', () => {
    assert.deepEqual(parseRouterConsumer(routerConsumer(3, 77).durable_name), { partition: 3, epoch: 77 });
    assert.equal(parseRouterConsumer('delivery-history'), undefined);
  });
  it('a node reads its own inbox only', () => {
    const filter = nodeConsumer(0, 'o', 'n1').filter_subject;
    assert.ok(matches(filter, inboxSubject.build({ shard: 0, org: 'o', node: 'n1', agent: 'a' })));
    assert.ok(!matches(filter, inboxSubject.build({ shard: 0, org: 'o', node: 'n2', agent: 'a' })));
  });
  it('a node keeps its partition, and nodes spread over all', () => {
    const seen = new Set<number>();
    for (let i = 0; i < 200; i++) {
      const node = newId('node');
      const partition = partitionOf('o', node, 8);
      assert.equal(partition, partitionOf('o', node, 8));
      assert.ok(partition >= 0 && partition < 8);
      seen.add(partition);
    }
    assert.equal(seen.size, 8);
  });
  it('a body of full size fits the servers', () => {
    assert.ok(LIMITS.serverMaxPayload >= LIMITS.bodyBytes + 64 * 1024);
  });
});

describe('error table', () => {
  it('has a row for every kind, one gRPC status each, and back', () => {
    assert.deepEqual(Object.keys(ERROR_TABLE).sort(), [...ERROR_KINDS].sort());
    for (const kind of ERROR_KINDS) assert.equal(kindOfGrpcCode(ERROR_TABLE[kind].grpc), kind);
  });
  it('asks for a retry only where one can help', () => {
    for (const row of Object.values(ERROR_TABLE))
      assert.equal(row.retryable, row.disposition === 'nak_delay');
  });
});
