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
  readonly table: Pick<RoutingTable, 'byAgent'>;
  /** True while this replica has mail for the subject in memory. */
  readonly holds: (subject: string) => boolean;
  readonly log: Logger;
}

/**
 * The table has the agent's later route, or has it no more, and no lane has anything for the old subject. What waited in
 * such a lane was let go to the old subject on purpose: it goes with the rest of what waits there, before anything newer.
 */
export function isFlushed(o: Pick<FlushAnswersOptions, 'table' | 'holds'>, asked: FlushRequest): boolean {
  const known = o.table.byAgent(asked.org, asked.agent);
  if (known !== undefined && (known.epoch < asked.epoch || known.subject === asked.subject)) return false;
  return !o.holds(asked.subject);
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
    this.#subscription = broker.subscribe(flushSubject.build({ instance }), (message) =>
      this.#answer(message),
    );
  }

  async stop(): Promise<void> {
    await this.#subscription?.drain();
  }

  #answer(message: CoreMessage): void {
    try {
      const flushed = isFlushed(this.#options, FlushRequest.decode(message.data));
      message.respond(encode(FlushResponse, { flushed }));
    } catch (error) {
      this.#options.log.warn(
        { error: causeChain(error) },
        'a question about mail under way was not answered',
      );
    }
  }
}
