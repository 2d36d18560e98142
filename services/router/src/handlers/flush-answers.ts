/** Tells the registry when nothing of an agent's mail is under way by an older route: then its waiting mail may move. */

import type { Broker, CoreMessage, Subscription } from '@fleetwire/broker';
import { flushSubject } from '@fleetwire/contract';
import { encode } from '@fleetwire/gen/encode';
import { FlushRequest, FlushResponse } from '@fleetwire/gen/message';
import { causeChain } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { RoutingTable } from '../domain/routing-table.ts';

export interface FlushAnswersOptions {
  readonly broker: Pick<Broker, 'subscribe'>;
  readonly instance: string;
  readonly table: Pick<RoutingTable, 'agent'>;
  /** As that of RoutesWatch. */
  readonly caughtUp: (withinMs: number) => Promise<boolean>;
  /** True while this replica has mail for the subject in memory. */
  readonly holds: (subject: string) => boolean;
  readonly log: Logger;
}

/** Less than a registry waits for the answer: a no in time is better than none. */
const CATCH_UP_MS = 500;

/**
 * The table has the agent's later route, and no lane has anything for the old subject. What waited in such a lane was let go
 * to the old subject on purpose: it goes with the rest of what waits there, before anything newer. An agent that the table
 * lacks is gone only when the table has come to where the bucket was at the call: else it may yet learn the old route and
 * send by it. In doubt the answer is no, and it is asked again.
 */
export async function isFlushed(
  o: Pick<FlushAnswersOptions, 'table' | 'caughtUp' | 'holds'>,
  { org, agent, epoch, subject }: FlushRequest,
): Promise<boolean> {
  if (o.table.agent(org, agent) === undefined && !(await o.caughtUp(CATCH_UP_MS))) return false;
  const known = o.table.agent(org, agent);
  if (known !== undefined && (known.epoch < epoch || known.subject === subject)) return false;
  return !o.holds(subject);
}

export class FlushAnswers {
  readonly name = 'flush answers';
  readonly #options: FlushAnswersOptions;
  #subscription: Subscription | undefined;

  constructor(options: FlushAnswersOptions) {
    this.#options = options;
  }

  start(): void {
    const { broker, instance } = this.#options;
    this.#subscription = broker.subscribe(flushSubject.build({ instance }), (message) => {
      void this.#answer(message);
    });
  }

  async stop(): Promise<void> {
    await this.#subscription?.drain();
  }

  async #answer(message: CoreMessage): Promise<void> {
    try {
      const flushed = await isFlushed(this.#options, FlushRequest.decode(message.data));
      message.respond(encode(FlushResponse, { flushed }));
    } catch (error) {
      this.#options.log.warn(
        { error: causeChain(error) },
        'a question about mail under way was not answered',
      );
    }
  }
}
