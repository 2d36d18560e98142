/** What other services tell org: totals for metering; for the audit, denials and what admins did there. */

import type { Broker, PullSession } from '@fleetwire/broker';
import type { ConsumerSpec } from '@fleetwire/contract';
import { ERROR_TABLE, EVENT_NAMES, eventSubject } from '@fleetwire/contract';
import { Event } from '@fleetwire/gen/event';
import { asFleetwireError, pause } from '@fleetwire/kernel';
import type { Store } from '@fleetwire/store';
import type { Logger } from '@fleetwire/telemetry';

const BATCH = 100;
const RETRY_MS = 1000;
/** Tries of an event that fails for a reason of its own, so that it holds up no other for long. */
const FAILURES_MAX = 3;

export interface HeardParts {
  readonly store: Store;
  readonly broker: Pick<Broker, 'pull'>;
  readonly log: Logger;
}

/** A component for one of the consumers; replicas share its work. */
export class HeardEvents {
  readonly name: string;
  readonly #parts: HeardParts;
  readonly #spec: ConsumerSpec;
  #session: PullSession | undefined;
  #loop: Promise<void> | undefined;
  #stopping = false;

  constructor(parts: HeardParts, spec: ConsumerSpec) {
    this.#parts = parts;
    this.#spec = spec;
    this.name = spec.durable_name;
  }

  start(): void {
    this.#session = this.#parts.broker.pull('EVENTS', this.#spec.durable_name, { batch: BATCH });
    this.#loop = this.#run(this.#session);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#session?.stop();
    await this.#loop;
  }

  async #run(session: PullSession): Promise<void> {
    for await (const batch of session)
      for (const message of batch) {
        // Not acknowledged, it comes again, to whichever replica.
        if (!(await this.#take(message.subject, message.data))) return;
        message.ack();
      }
  }

  /** Until it is in the database, or false; what cannot be read is skipped, since nobody could ever read it. */
  async #take(subject: string, data: Uint8Array): Promise<boolean> {
    const event = readEvent(subject, data);
    if (event === undefined) {
      this.#parts.log.warn({ subject }, 'an event that cannot be read was skipped');
      return true;
    }
    for (let failures = 0; !this.#stopping; ) {
      try {
        await (event.name === EVENT_NAMES.usage ? this.#meter(event) : this.#audit(event));
        return true;
      } catch (error) {
        const { kind, reason, message } = asFleetwireError(error);
        const hopeless = !ERROR_TABLE[kind].retryable && ++failures >= FAILURES_MAX;
        this.#parts.log.warn(
          { subject, reason, message },
          `${this.name} ${hopeless ? 'skips an event' : 'waits'}`,
        );
        if (hopeless) return true;
        await pause(RETRY_MS);
      }
    }
    return false;
  }

  /** Totals only grow within a day, so repetitions and any order do no harm. */
  async #meter({ org, usage }: Event): Promise<void> {
    if (usage === undefined || !/^\d{4}-\d\d-\d\d$/.test(usage.day)) return;
    await this.#parts.store.query(
      `insert into usage_days (org, day, messages, bytes, agents, nodes)
       select $1, $2, $3, $4, $5, $6 where exists (select from orgs where id = $1)
       on conflict (org, day) do update set messages = greatest(usage_days.messages, excluded.messages),
         bytes = greatest(usage_days.bytes, excluded.bytes), agents = greatest(usage_days.agents, excluded.agents),
         nodes = greatest(usage_days.nodes, excluded.nodes)`,
      [org, usage.day, usage.messages, usage.bytes, usage.agents, usage.nodes],
    );
  }

  /** Once for each event, though it may come again. */
  async #audit(event: Event): Promise<void> {
    const { action = 'policy', reason = '', ...details } = event.details;
    // A denial is the service's, of what an agent tried; an act is that of the user whom the service had before it.
    const [kind, decision] = event.name === EVENT_NAMES.acted ? ['user', 'allowed'] : ['service', 'denied'];
    await this.#parts.store.transaction(async ({ query }) => {
      // Two replicas may hear of it at once; the second one waits here, and then finds the first one's entry.
      await query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [event.id]);
      await query(
        `insert into audit (org, at_ms, actor_kind, actor, action, target, decision, reason, peer, details)
         select $1, $2, $10, $3, $4, $5, $11, $6, $7, $8
         where exists (select from orgs where id = $1)
           and not exists (select from audit where org = $1 and at_ms = $2 and details ->> 'event' = $9)`,
        [
          event.org,
          event.atMs,
          event.actor,
          action,
          event.target,
          reason,
          event.service,
          JSON.stringify({ ...details, event: event.id }),
          event.id,
          kind,
          decision,
        ],
      );
    });
  }
}

/** The subject says who published it; what the event claims besides must agree. */
function readEvent(subject: string, data: Uint8Array): Event | undefined {
  const from = eventSubject.parse(subject);
  if (from === undefined) return undefined;
  try {
    const event = Event.decode(data);
    return event.org === from.org && event.service === from.service && event.name === from.name
      ? event
      : undefined;
  } catch {
    return undefined;
  }
}
