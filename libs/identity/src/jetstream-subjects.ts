/** The few subjects of the JetStream API that a node may use: pull from its inbox consumer, and acknowledge. */

import { nodeConsumer } from '@fleetwire/contract';

const NEXT = '$JS.API.CONSUMER.MSG.NEXT.INBOX';
const ACK = '$JS.ACK.INBOX';

/** What an org's account imports; which consumer of it a node may use is in the node's own permissions. */
export const inboxPulls = `${NEXT}.*`;
export const inboxAcks = `${ACK}.>`;

export const pullOfNode = (shard: number, org: string, node: string): string =>
  `${NEXT}.${nodeConsumer(shard, org, node).durable_name}`;

export const acksOfNode = (shard: number, org: string, node: string): string =>
  `${ACK}.${nodeConsumer(shard, org, node).durable_name}.>`;

/** System account request that gives every server an account's new claims. */
export const CLAIMS_UPDATE = '$SYS.REQ.CLAIMS.UPDATE';
/** System account request for the accounts that a server holds: `{data: [public key]}`. */
export const CLAIMS_LIST = '$SYS.REQ.CLAIMS.LIST';
/** System account request for the claims that the servers hold of an account; of one they do not hold, nobody answers. */
export const claimsLookup = (account: string): string => `$SYS.REQ.ACCOUNT.${account}.CLAIMS.LOOKUP`;
