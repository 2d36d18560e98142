/** DeliveryService: one message, its trace, and pages of history; nobody sees more than their own org. */

import type {
  DeliveryServiceDefinition,
  GetMessageRequest,
  ListMessagesRequest,
  Message,
  TraceMessageRequest,
} from '@fleetwire/gen/delivery';
import { Envelope, Stage } from '@fleetwire/gen/message';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RpcContext, RpcHandlers } from '@fleetwire/rpc';
import type { Store } from '@fleetwire/store';
import { isTraceparent, traceIdOf } from '@fleetwire/telemetry';
import { isKeyText } from '../domain/column-text.ts';
import { readPageToken, writePageToken } from '../domain/page-token.ts';
import { isCount } from '../domain/settlement.ts';
import { assembleTrace } from '../domain/trace.ts';
import type { StoredMessage } from '../store/message-table.ts';
import { findMessage, listMessages } from '../store/message-table.ts';
import type { StoredSettlement } from '../store/settlement-table.ts';
import { findSettlements } from '../store/settlement-table.ts';

export interface AnswerLimits {
  /** Recipients of one message that GetMessage and TraceMessage show. */
  readonly recipientsMax: number;
  /** Recipients of one message that ListMessages shows. */
  readonly recipientsListed: number;
  /** Bytes of messages on one page. */
  readonly pageBytes: number;
}

const PAGE_SIZE_DEFAULT = 50;
const PAGE_SIZE_MAX = 500;

export function messageHandlers(
  store: Store,
  limits: AnswerLimits,
): RpcHandlers<DeliveryServiceDefinition, Caller> {
  return {
    getMessage: async ({ id }: GetMessageRequest, context: RpcContext<Caller>) => {
      const { message } = await load(store, orgOf(context), id, limits.recipientsMax);
      return { message };
    },
    traceMessage: async ({ id }: TraceMessageRequest, context: RpcContext<Caller>) => {
      const found = await load(store, orgOf(context), id, limits.recipientsMax);
      const { message, row, settlements } = found;
      const { fromNode: node, acceptedAtUs } = message;
      const acceptance = row && { node, acceptedAtUs, ingressAtUs: row.ingressAtUs };
      const ways = settlements.map(({ recipient, settlement: { hops, proof } }) => ({
        recipient,
        hops,
        proof,
      }));
      const traceId = isTraceparent(message.traceparent) ? traceIdOf(message.traceparent) : '';
      return { message, traceId, hops: assembleTrace(acceptance, ways) };
    },
    listMessages: (request: ListMessagesRequest, context: RpcContext<Caller>) =>
      list(store, orgOf(context), request, limits),
  };
}

/** Every token of a user or node names an org; a service has none of its own. */
function orgOf(context: RpcContext<Caller>): string {
  const org = context.caller?.org ?? '';
  if (org !== '') return org;
  throw new FleetwireError('permission_denied', 'ORG_REQUIRED', 'history is read on behalf of an org', {
    help: 'Call with the token of a user or of a node.',
  });
}

interface Loaded {
  readonly message: Message;
  readonly row: StoredMessage | undefined;
  readonly settlements: readonly StoredSettlement[];
}

async function load(store: Store, org: string, id: string, recipientsMax: number): Promise<Loaded> {
  const [row, settlements] = isKeyText(id)
    ? await Promise.all([findMessage(store, org, id), findSettlements(store, org, [id], recipientsMax)])
    : [undefined, []];
  if (row !== undefined) return { row, settlements, message: fromHistory(row, settlements) };
  if (settlements.length > 0) return { row, settlements, message: fromReceipts(org, id, settlements) };
  throw new FleetwireError('not_found', 'MESSAGE_UNKNOWN', 'there is no message of this id', {
    help: 'Check the id. A message shows here about a second after its node has sent it on: `fleetwire status` says what waits.',
  });
}

async function list(store: Store, org: string, request: ListMessagesRequest, limits: AnswerLimits) {
  const { correlationId, fromAgent, recipient } = request;
  const size = Math.min(request.pageSize || PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX);
  const filter = { correlationId, fromAgent, recipient, after: readPageToken(request.pageToken) };
  const { rows, more } = await listMessages(store, org, filter, size, limits.pageBytes);
  const ids = rows.map((row) => row.id);
  const settlements = await findSettlements(store, org, ids, limits.recipientsListed);
  const byMessage = Map.groupBy(settlements, (s) => s.messageId);
  const messages = rows.map((row) => fromHistory(row, byMessage.get(row.id) ?? []));
  const last = rows.at(-1);
  return { messages, nextPageToken: more && last !== undefined ? writePageToken(last) : '' };
}

function fromHistory(row: StoredMessage, settlements: readonly StoredSettlement[]): Message {
  return { ...Envelope.decode(row.envelope), ...ends(settlements) };
}

/** Receipts were faster than history: what they say of the message, and no body yet. */
function fromReceipts(org: string, id: string, settlements: readonly StoredSettlement[]): Message {
  const { to, fromAgent, correlationId, traceparent } = settlements[0]!.settlement.about;
  const accepted = settlements.flatMap((s) => s.settlement.hops).find((hop) => hop.stage === Stage.ACCEPTED);
  return {
    id,
    org,
    fromAgent,
    fromName: '',
    fromNode: accepted?.instance ?? '',
    to,
    correlationId,
    replyTo: '',
    traceparent,
    acceptedAtUs: accepted?.atUs ?? 0,
    ttlMs: 0,
    contentType: '',
    body: new Uint8Array(0),
    ...ends(settlements),
  };
}

/** What became of it for each recipient; what says only how many there are is no settlement. */
function ends(all: readonly StoredSettlement[]): Pick<Message, 'settlements' | 'fanOut'> {
  const count = all.find((s) => isCount(s.recipient, s.settlement));
  const settlements = all.filter((s) => s !== count).map(shown);
  return { settlements, fanOut: count?.settlement.about.fanOut ?? 0 };
}

function shown({ recipient, settlement }: StoredSettlement): Message['settlements'][number] {
  const { stage, final, reason, detail, atUs, about } = settlement;
  const proof = stage === Stage.CONFIRMED ? settlement.proof : undefined;
  return {
    recipient,
    recipientName: about.recipientName,
    stage,
    final,
    reason,
    detail,
    updatedAtUs: atUs,
    proof,
  };
}
