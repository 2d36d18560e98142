// Goal: docs/reference/asyncapi.json is a valid AsyncAPI document and says what the contract says, no more and no less.
// Method: the specification's own JSON Schema; then names and subjects held against the contract both ways, and documents that
// lie to see it found.

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  deadSubject,
  EVENT_NAMES,
  EVENTS,
  eventSubject,
  isSubscribed,
  MESSAGE_EVENTS,
  messageEventSubject,
  nodeDeadSubject,
  receiptSubject,
  SUBSCRIBED,
  streamSpecs,
  subscriptionSubject,
} from '@fleetwire/contract';
import { Event } from '@fleetwire/gen/event';
import { DeadLetter, ReceiptBatch } from '@fleetwire/gen/message';
import { describe, it } from 'mocha';

interface Channel {
  readonly address: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly 'x-stream': string;
  readonly 'x-subscription': string;
}
interface Document {
  readonly channels: Readonly<Record<string, Channel>>;
  readonly operations: Readonly<Record<string, { readonly channel: { readonly $ref: string } }>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, { readonly properties: Readonly<Record<string, unknown>> }>>;
  };
}

const FILE = 'docs/reference/asyncapi.json';
const read = (): Document => JSON.parse(readFileSync(FILE, 'utf8'));
const require = createRequire(import.meta.url);

/** Undefined where the package was not installed: the setup of the tests does. */
function installed<T>(name: string): T | undefined {
  try {
    return require(name) as T;
  } catch {
    return undefined;
  }
}

type Validate = ((data: unknown) => boolean) & { readonly errors?: unknown };

/** Does a filter, or the subjects of a stream, take the subject in? */
function takesIn(pattern: string, subject: string): boolean {
  const source = pattern.replaceAll('.', '\\.').replaceAll('*', '[^.]+').replace(/>$/, '.+');
  return new RegExp(`^${source}$`).test(subject);
}

/** What the contract says, as `<kind>` or `<kind> <service>.<name>`. */
function wantedKinds(): string[] {
  const events = Object.entries(EVENTS).flatMap(([service, names]) =>
    Object.keys(names).map((name) => `event ${service}.${name}`),
  );
  const messages = Object.keys(MESSAGE_EVENTS).map((name) => `message ${name}`);
  return ['receipt', 'dead', 'dead of a node', ...events, ...messages].sort();
}

/** What a subject of this address is by the contract; undefined: none of it. */
function kindOf(subject: string): string | undefined {
  if (receiptSubject.parse(subject) !== undefined) return 'receipt';
  if (deadSubject.parse(subject) !== undefined) return 'dead';
  if (nodeDeadSubject.parse(subject) !== undefined) return 'dead of a node';
  const message = messageEventSubject.parse(subject);
  if (message !== undefined) return `message ${message.name}`;
  const event = eventSubject.parse(subject);
  return event === undefined ? undefined : `event ${event.service}.${event.name}`;
}

function findings({ channels, operations }: Document): string[] {
  const found: string[] = [];
  const kinds: string[] = [];
  for (const [name, channel] of Object.entries(channels)) {
    const { address, parameters, 'x-stream': stream, 'x-subscription': what } = channel;
    const named = [...address.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter!);
    if (named.sort().join() !== Object.keys(parameters).sort().join()) found.push(`${name}: parameters`);
    const subject = address.replace('{org}', 'o_org').replaceAll(/\{\w+\}/g, 'x');
    const kind = kindOf(subject);
    if (kind === undefined) found.push(`${name}: ${address} is no subject of the contract`);
    else kinds.push(kind);
    const spec = streamSpecs().find((each) => each.name === stream);
    if (!spec?.subjects.some((pattern) => takesIn(pattern, subject))) found.push(`${name}: not in ${stream}`);
    if (!isSubscribed(what) || SUBSCRIBED[what] !== stream) found.push(`${name}: cannot be followed`);
    else if (!takesIn(subscriptionSubject({ org: 'o_org', what, name: 'x' }), subject))
      found.push(`${name}: a subscription to ${what} does not have it`);
    if (operations[`follow.${name}`]?.channel.$ref !== `#/channels/${name}`)
      found.push(`${name}: no operation`);
  }
  const wanted = wantedKinds();
  found.push(...wanted.filter((kind) => !kinds.includes(kind)).map((kind) => `missing: ${kind}`));
  found.push(...kinds.filter((kind) => !wanted.includes(kind)).map((kind) => `unknown: ${kind}`));
  if (new Set(kinds).size !== kinds.length) found.push('a subject is there twice');
  return found;
}

describe('the AsyncAPI document', () => {
  it('is valid by the specification', function () {
    const Ajv = installed<{ default: new (o: object) => { compile(schema: object): Validate } }>('ajv');
    const schema = installed<object>('@asyncapi/specs/schemas/3.0.0-without-$id.json');
    if (Ajv === undefined || schema === undefined) {
      console.log('      skipped: @asyncapi/specs is not installed, see deploy/setup.sh');
      return this.skip();
    }
    const options = { strict: false, validateFormats: false, logger: false };
    const valid = new Ajv.default(options).compile(schema);
    assert.ok(valid(read()), JSON.stringify(valid.errors)?.slice(0, 2000));
    const { operations } = read();
    const broken = { ...read(), operations: { ...operations, x: { action: 'listen' } } };
    assert.equal(valid(broken), false);
  });

  it('names the subjects, streams and events of the contract, no more and no less', () => {
    assert.deepEqual(findings(read()), []);
  });

  it('has what services read of each other, whoever tells it', () => {
    const told = Object.values(EVENTS).flatMap((names) => Object.keys(names));
    assert.deepEqual(
      Object.values(EVENT_NAMES).filter((name) => !told.includes(name)),
      [],
    );
  });

  it('has the fields of the messages', () => {
    const { schemas } = read().components;
    const fields = {
      'fleetwire.v1.ReceiptBatch': Object.keys(ReceiptBatch.fromPartial({})),
      'fleetwire.v1.Event': Object.keys(Event.fromPartial({})),
      'fleetwire.v1.DeadLetter': Object.keys(DeadLetter.fromPartial({})),
    };
    for (const [name, wanted] of Object.entries(fields))
      assert.deepEqual(Object.keys(schemas[name]!.properties).sort(), wanted.sort(), name);
    for (const [, reference] of JSON.stringify(read()).matchAll(/"#\/components\/schemas\/([^"]+)"/g))
      assert.ok(schemas[reference!] !== undefined, reference);
  });

  it('would be found out', () => {
    const { channels, ...rest } = read();
    const { receipts, 'org.member_left': left, ...others } = channels as Record<string, Channel>;
    const lying = (changed: Record<string, Channel>) => findings({ ...rest, channels: changed });
    assert.deepEqual(lying({ ...others, 'org.member_left': left! }), ['missing: receipt']);
    assert.deepEqual(lying({ ...others, receipts: receipts! }), ['missing: event org.member_left']);
    const strange = { ...left!, address: left!.address.replace('member_left', 'member_gone') };
    assert.deepEqual(lying({ ...channels, 'org.member_left': strange }), [
      'missing: event org.member_left',
      'unknown: event org.member_gone',
    ]);
    const elsewhere = { ...left!, 'x-stream': 'RECEIPTS' };
    assert.equal(lying({ ...channels, 'org.member_left': elsewhere }).length, 2);
  });
});
