/**
 * The NATS accounts: SYS, FABRIC (which alone has JetStream), and one for each org that imports exactly what its nodes
 * need. Across accounts the servers replace reply subjects, so a node cannot make an answer land in another org.
 */

import { filters, LIMITS } from '@fleetwire/contract';
import type { Account, Export, Import } from '@nats-io/jwt';
import { Algorithms, decode, encodeAccount, encodeOperator } from '@nats-io/jwt';
import { fromPublic, fromSeed } from '@nats-io/nkeys';
import {
  inboxAcks,
  inboxPulls,
  inDomain,
  subscriberAcks,
  subscriberInfos,
  subscriberPulls,
} from './jetstream-subjects.ts';

/** Services that publish receipts from within the fabric's account. */
export const RECEIPT_SERVICES = ['router', 'delivery', 'registry'] as const;

/** Services whose control frames nodes hear. */
export const FRAMES_FROM = ['registry', 'router'] as const;

/** The service whose events nodes hear: what changes in their org, revoked tokens above all. */
export const EVENTS_FROM = 'org';

/** Seeds of an account (or of the operator): its identity, and the key that signs in its name. */
export interface KeySeeds {
  readonly seed: string;
  readonly signingSeed: string;
}

/** Public key (or `*`) to Unix seconds: users of that key whose JWT was issued until then are refused. */
export type Revocations = Readonly<Record<string, number>>;

const NO_LIMIT = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};
const ALL_JETSTREAM = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
const V2 = { algorithm: Algorithms.v2 };

export const keyPair = (seed: string) => fromSeed(new TextEncoder().encode(seed));
export const publicKeyOf = (seed: string): string => keyPair(seed).getPublicKey();

export function operatorJwt(operator: KeySeeds, systemAccount: string): Promise<string> {
  const claims = { system_account: systemAccount, signing_keys: [publicKeyOf(operator.signingSeed)] };
  return encodeOperator('FLEETWIRE', keyPair(operator.seed), claims, V2);
}

export function systemAccountClaims(system: KeySeeds): Partial<Account> {
  return { limits: { ...NO_LIMIT }, signing_keys: [publicKeyOf(system.signingSeed)] };
}

export function fabricAccountClaims(fabric: KeySeeds): Partial<Account> {
  const exports: Export[] = [
    service(filters.allIngress, 'Singleton'),
    service(filters.allReceipts, 'Singleton'),
    service(filters.allDeadOfNodes, 'Singleton'),
    service(filters.allHeartbeats, 'Singleton'),
    // One request, many messages. The servers keep the way back of each pull for two minutes: pulls must be shorter.
    service(inboxPulls, 'Stream'),
    service(inboxAcks, 'Singleton'),
    ...subscriberPulls.map((subject) => service(subject, 'Stream')),
    ...[...subscriberInfos, ...subscriberAcks].map((subject) => service(subject, 'Singleton')),
    { name: 'receipts of services', subject: filters.allReceipts, type: 'stream' },
    { name: 'events of org', subject: filters.allEventsOf(EVENTS_FROM), type: 'stream' },
    ...FRAMES_FROM.map((from): Export => {
      return { name: `frames of ${from}`, subject: filters.allFramesFrom(from), type: 'stream' };
    }),
  ];
  return {
    limits: { ...NO_LIMIT, ...ALL_JETSTREAM },
    exports,
    signing_keys: [publicKeyOf(fabric.signingSeed)],
  };
}

/**
 * All that an org's account has of the fabric's. Receipts of other nodes are heard within the org's account; those of
 * services come in by the stream imports. With nats-server 2.9 such a receipt also runs out again through the service
 * import and reaches its stream twice, where the dedupe id drops it: receipts are always stored with one.
 */
export function orgImports(org: string, fabricAccount: string): Import[] {
  const called = (subject: string, local_subject: string): Import => ({
    name: subject,
    subject,
    type: 'service',
    account: fabricAccount,
    local_subject,
  });
  const services = [
    filters.ingressOfOrg(org),
    filters.receiptsOfOrg(org),
    filters.deadOfNodes(org),
    filters.heartbeatsOfOrg(org),
    inboxPulls,
    inboxAcks,
    ...subscriberAcks,
  ].map((subject) => called(subject, subject));
  const followed = [...subscriberPulls, ...subscriberInfos].map((subject) =>
    called(subject, inDomain(subject)),
  );
  const heard = (name: string, subject: string): Import => ({
    name,
    subject,
    type: 'stream',
    account: fabricAccount,
  });
  return [
    ...services,
    ...followed,
    ...RECEIPT_SERVICES.map((from) => heard(`receipts of ${from}`, filters.receiptsFrom(org, from))),
    heard(`events of ${EVENTS_FROM}`, filters.eventsOf(org, EVENTS_FROM)),
    ...FRAMES_FROM.map((from) => heard(`frames of ${from}`, filters.framesFrom(org, from))),
  ];
}

export function orgAccountClaims(
  org: { readonly id: string; readonly signingSeed: string },
  fabricAccount: string,
  revocations: Revocations = {},
): Partial<Account> {
  return {
    limits: { ...NO_LIMIT, conn: LIMITS.orgConnections, mem_storage: 0, disk_storage: 0 },
    imports: orgImports(org.id, fabricAccount),
    signing_keys: [publicKeyOf(org.signingSeed)],
    ...(Object.keys(revocations).length === 0 ? {} : { revocations: { ...revocations } }),
  };
}

/** The JWT of an account, given by its public key, signed by the operator's signing key; issued now. */
export function accountJwt(
  name: string,
  account: string,
  claims: Partial<Account>,
  operatorSigningSeed: string,
): Promise<string> {
  return encodeAccount(name, fromPublic(account), claims, { ...V2, signer: keyPair(operatorSigningSeed) });
}

export function claimsIn(jwt: string): Partial<Account> {
  return decode<Account>(jwt).nats;
}

/** Does `jwt` already say all of `claims`? Then it need not be issued anew. */
export function saysAlready(jwt: string, claims: Partial<Account>): boolean {
  const held = claimsIn(jwt) as Record<string, unknown>;
  return Object.entries(claims).every(([key, value]) => JSON.stringify(held[key]) === JSON.stringify(value));
}

/** The revocations in an account's JWT. */
export function revocationsIn(jwt: string): Revocations {
  return claimsIn(jwt).revocations ?? {};
}

function service(subject: string, response_type: 'Singleton' | 'Stream'): Export {
  return { name: subject, subject, type: 'service', response_type };
}
