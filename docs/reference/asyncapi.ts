/** What programs outside find in the streams of their org, as an AsyncAPI 3 document made of the contract and the protos. */

import {
  deadSubject,
  EVENTS,
  type EventService,
  eventSubject,
  MESSAGE_EVENTS,
  messageEventSubject,
  nodeDeadSubject,
  receiptSubject,
  SUBSCRIBED,
  SUBSCRIBER_LIMITS,
  type Subscribed,
  streamSpecs,
} from '@fleetwire/contract';
import { jsonSchemas, schemaRef } from '@fleetwire/gen/json-schemas';

const MESSAGES = {
  receipts: 'fleetwire.v1.ReceiptBatch',
  event: 'fleetwire.v1.Event',
  letter: 'fleetwire.v1.DeadLetter',
} as const;

/** Stand for a parameter where the contract builds the subject. */
const token = (name: string) => `p_${name.toLowerCase()}`;

interface Channel {
  readonly follows: Subscribed;
  readonly parameters: Readonly<Record<string, string>>;
  readonly subject: string;
  readonly messages: readonly string[];
  readonly description: string;
}

const ORG = 'Id of the org; the credentials of a subscriber are pinned to theirs.';
const AGENT = 'Id of the recipient, or `_unknown` where the message led to nobody.';

function channels(): Record<string, Channel> {
  const all: Record<string, Channel> = {
    receipts: {
      follows: 'receipts',
      parameters: {
        org: ORG,
        toNode: 'Id of the node whose agent sent the messages.',
        from: 'Who says so: id of a node, or router, delivery or registry.',
      },
      subject: receiptSubject.build({ org: token('org'), toNode: token('toNode'), from: token('from') }),
      messages: ['receipts'],
      description: 'What became of messages, several receipts in one message.',
    },
    deadLetters: {
      follows: 'dead',
      parameters: { org: ORG, agent: AGENT },
      subject: deadSubject.build({ org: token('org'), agent: token('agent') }),
      messages: ['letter'],
      description: 'Messages that could not be delivered, as services say.',
    },
    deadLettersOfNodes: {
      follows: 'dead',
      parameters: { org: ORG, agent: AGENT, node: 'Id of the node that says so: the recipient’s.' },
      subject: nodeDeadSubject.build({ org: token('org'), agent: token('agent'), node: token('node') }),
      messages: ['letter'],
      description: 'Messages that the full queue of an agent has dropped.',
    },
  };
  for (const service of Object.keys(EVENTS) as EventService[])
    for (const [name, description] of Object.entries(EVENTS[service]))
      all[`${service}.${name}`] = {
        follows: 'events',
        parameters: { org: ORG },
        subject: eventSubject.build({ org: token('org'), service, name }),
        messages: ['event'],
        description,
      };
  for (const [name, description] of Object.entries(MESSAGE_EVENTS))
    all[`messages.${name}`] = {
      follows: 'messages',
      parameters: { org: ORG },
      subject: messageEventSubject.build({ org: token('org'), name }),
      messages: ['event'],
      description: `${description} Only where the org wants it.`,
    };
  return all;
}

const reference = (...path: readonly string[]) => ({ $ref: `#/${path.join('/')}` });

function shownChannel({ subject, parameters, messages, description, follows }: Channel): object {
  let address = subject;
  for (const name of Object.keys(parameters)) address = address.replace(token(name), `{${name}}`);
  return {
    address,
    description,
    parameters: Object.fromEntries(
      Object.entries(parameters).map(([name, about]) => [name, { description: about }]),
    ),
    messages: Object.fromEntries(messages.map((name) => [name, reference('components', 'messages', name)])),
    'x-stream': SUBSCRIBED[follows],
    'x-subscription': follows,
  };
}

/** Of the messages, with where their proto is. */
function shownMessage(name: string, proto: string): object {
  return {
    name,
    title: proto,
    contentType: 'application/x-protobuf',
    payload: schemaRef(proto),
    'x-protobuf': proto,
  };
}

const ABOUT = [
  'Receipts, events, messages and dead letters of an org, to be followed by a durable pull consumer of JetStream: see',
  'docs/guides/subscribers.md. Payloads are encoded protocol buffers (proto/fleetwire/v1); the schemas show their JSON form.',
  'Receipts leave out what the subject says.',
];

export function asyncApi(): object {
  const all = Object.entries(channels());
  const ages = streamSpecs().map(({ name, max_age }) => [name, max_age / 1e9] as const);
  const followed = Object.values(SUBSCRIBED) as readonly string[];
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Fleetwire: streams of an org',
      version: '1.0.0',
      description: ABOUT.join(' '),
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/x-protobuf',
    channels: Object.fromEntries(all.map(([name, channel]) => [name, shownChannel(channel)])),
    operations: Object.fromEntries(
      all.map(([name, { messages }]) => [
        `follow.${name}`,
        {
          action: 'receive',
          channel: reference('channels', name),
          messages: messages.map((message) => reference('channels', name, 'messages', message)),
        },
      ]),
    ),
    components: {
      messages: Object.fromEntries(
        Object.entries(MESSAGES).map(([name, proto]) => [name, shownMessage(name, proto)]),
      ),
      schemas: jsonSchemas(Object.values(MESSAGES)),
    },
    'x-streams': Object.fromEntries(
      ages.filter(([name]) => followed.includes(name)).map(([name, seconds]) => [name, { kept_s: seconds }]),
    ),
    'x-subscriber-limits': SUBSCRIBER_LIMITS,
  };
}
