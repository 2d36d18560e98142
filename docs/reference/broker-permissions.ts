/** The part of permissions.md about the NATS servers: what each user of theirs may publish and subscribe to. */

import {
  nodePermissions,
  orgImports,
  SERVICE_USERS,
  serviceRights,
  subscriberPermissions,
} from '@fleetwire/identity';

/** A row for each pattern: who, what, pattern. */
export function brokerRows(): string[][] {
  const node = nodePermissions({ org: 'o_org', node: 'n_node', partition: 0, shard: 0 });
  const users = [
    ['node', node],
    ['subscriber', subscriberPermissions({ org: 'o_org', what: 'receipts', name: 'name' })],
    ...SERVICE_USERS.map((name) => [`\`${name}\``, serviceRights(name)] as const),
  ] as const;
  return users.flatMap(([name, rights]) => [
    ...rights.publish.map((pattern) => [name, 'publish', `\`${pattern}\``]),
    ...('neverPublish' in rights ? rights.neverPublish : []).map((p) => [name, 'never publish', `\`${p}\``]),
    ...rights.subscribe.map((pattern) => [name, 'subscribe', `\`${pattern}\``]),
  ]);
}

/** A row for each way between an org's account and the fabric's. */
export function importRows(): string[][] {
  const way = { service: 'org to fabric, and the answer back', stream: 'fabric to org' };
  return orgImports('o_org', '').map(({ subject, type }) => [
    `\`${subject}\``,
    way[type as keyof typeof way],
  ]);
}

export const ABOUT_BROKER = [
  'What the NATS servers themselves let each user do; all else they refuse. `o_org` and `n_node` stand for the org and the',
  'node that the credentials are for, 0 for its partition and shard, `name` for a subscription (here to receipts; to events,',
  "messages and dead letters likewise). Nodes and subscribers are users of their org's account, services and",
  "`bootstrap` of the fabric's account, which alone has JetStream, `sys` of the system account.",
].join(' ');

export const ABOUT_IMPORTS = [
  "All that an org's account shares with the fabric's. In between the servers replace reply subjects, so that no answer",
  'lands in another org.',
].join(' ');

export const ABOUT_REPLIES = [
  '**Reply subjects** are not covered by these rights. A node can let an answer to itself land on a subject that another',
  'node *of its org* listens to: what it pulls then arrives under its original subject, and for an acknowledgement of a',
  'publish, an empty answer or an answer to a heartbeat there is no reading as a receipt, a control frame or an event that',
  'says anything. Receivers therefore check the subject of what arrives and believe nothing that they cannot read; a frame',
  'only ever makes a node ask the registry, or hold mail back for a moment. Subjects of acknowledgements are refused as',
  'reply subjects by the servers. A',
  "service can let an answer land anywhere in the fabric's account, a consumer deliver there, and one write to a bucket",
  'clear all of it (`Nats-Rollup`): the rights bound what a service does by mistake, and what can be done with its',
  'credentials from outside of the code is bounded to the fabric, not to these rows.',
].join(' ');
