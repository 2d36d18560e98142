/** DeliveryService: one message, its trace, and pages of history; nobody sees more than their own org. */

import type {
  ConsumerProgress,
  DeliveryServiceDefinition,
  GetMessageRequest,
  ListMessagesRequest,
  Message,
  TraceMessageRequest,
} from '@fleetwire/gen/delivery';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError } from '@fleetwire/kernel';
import type { RpcContext, RpcHandlers } from '@fleetwire/rpc';
import { isTraceparent, traceIdOf } from '@fleetwire/telemetry';
import { isKeyText } from '../domain/column-text.ts';
import type { HistoryModes } from '../domain/history-mode.ts';
import { assembleTrace } from '../domain/trace.ts';
import type { StoredMessage } from '../store/message-table.ts';
import { findMessage } from '../store/message-table.ts';
import type { StoredSettlement } from '../store/settlement-table.ts';
import { findSettlements } from '../store/settlement-table.ts';
import { orgOf } from './callers.ts';
import { type ListLimits, type ListParts, listPage } from './list-messages.ts';
import type { Roster } from './roster.ts';
import { fromHistory, fromReceipts } from './shown-message.ts';

export interface AnswerLimits extends ListLimits {
  /** Recipients of one message that GetMessage and TraceMessage show. */
  readonly recipientsMax: number;
}

export interface AnswerParts extends ListParts {
  readonly limits: AnswerLimits;
  readonly modes: HistoryModes;
  readonly roster: Pick<Roster, 'nodeNames'>;
  /** How far behind this is. */
  readonly progress: () => ConsumerProgress[];
}

type Handlers = RpcHandlers<DeliveryServiceDefinition, Caller>;

export function messageHandlers(
  parts: AnswerParts,
): Pick<Handlers, 'getMessage' | 'traceMessage' | 'listMessages' | 'getProgress'> {
  return {
    getMessage: async ({ id }: GetMessageRequest, context: RpcContext<Caller>) => {
      const { message } = await load(parts, orgOf(context), id);
      return { message };
    },
    traceMessage: async ({ id }: TraceMessageRequest, context: RpcContext<Caller>) => {
      const org = orgOf(context);
      const found = await load(parts, org, id);
      const { message, row, settlements } = found;
      const { fromNode: node, acceptedAtUs } = message;
      const acceptance = row && { node, acceptedAtUs, ingressAtUs: row.ingressAtUs };
      const ways = settlements.map(({ recipient, settlement: { hops, proof } }) => ({
        recipient,
        hops,
        proof,
      }));
      const traceId = isTraceparent(message.traceparent) ? traceIdOf(message.traceparent) : '';
      const hops = assembleTrace(acceptance, ways);
      const nodes = hops.flatMap(({ hop }) => (hop?.service === 'node' ? [hop.instance] : []));
      return { message, traceId, hops, nodeNames: await parts.roster.nodeNames(org, nodes) };
    },
    listMessages: (request: ListMessagesRequest, context: RpcContext<Caller>) =>
      listPage(parts, orgOf(context), request),
    getProgress: async () => ({ consumers: parts.progress() }),
  };
}

interface Loaded {
  readonly message: Message;
  readonly row: StoredMessage | undefined;
  readonly settlements: readonly StoredSettlement[];
}

async function load({ store, limits, modes }: AnswerParts, org: string, id: string): Promise<Loaded> {
  const [row, settlements] = isKeyText(id)
    ? await Promise.all([
        findMessage(store, org, id),
        findSettlements(store, org, [id], limits.recipientsMax),
      ])
    : [undefined, []];
  if (row !== undefined) return { row, settlements, message: fromHistory(row, settlements) };
  if (settlements.length > 0)
    return { row, settlements, message: fromReceipts(org, id, settlements, modes(org)) };
  throw new FleetwireError('not_found', 'MESSAGE_UNKNOWN', 'there is no message of this id', {
    help: 'Check the id. A message shows here about a second after its node has sent it on: `fleetwire status` says what waits.',
  });
}
