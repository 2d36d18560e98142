/** What the nodes say of the recipient that stands still, from when it stops until it has been going on for a while. */

import type { NodeServiceDefinition } from '@fleetwire/gen/node';
import { pause } from '@fleetwire/kernel';
import type { RpcClient } from '@fleetwire/rpc';

/** What may wait for the recipient that stands still. */
export const QUEUE_MESSAGES = 200;
/** As the node is configured by default (busy_percent): there its senders are told. */
const BUSY_PERCENT = 80;
/** After it goes on: until its senders flow freely again. */
const RESUME_MS = 15_000;

export interface Watched {
  /** How far its queue was filled at most; it is told of at 80 % of its bound. */
  readonly queue: { readonly depth_max: number; readonly bound: number };
  /** What reached the senders' nodes: most mail held back there at one time, and sends refused, by reason. */
  readonly busy: { readonly held_back_max: number; readonly refusals: Readonly<Record<string, number>> };
  /** Everything in order: it filled to where it tells, never beyond its bound; its senders heard; and they go on again. */
  readonly filled: boolean;
  readonly busy_reached_senders: boolean;
  readonly ready_resumed: boolean;
}

type Node = RpcClient<typeof NodeServiceDefinition>;

/** Of the nodes the first is the recipient's own, the others are those of its senders. */
export function watch([home, ...near]: readonly Node[], name: string, lookMs: number) {
  let depth = 0;
  let busy = false;
  let heldBack = 0;
  let heldBackMax = 0;
  let depthMax = 0;
  let ended = false;
  let fault: unknown;
  const look = async () => {
    const [{ agents }, ...states] = await Promise.all([
      home!.listLocalAgents({}),
      ...near.map((node) => node.nodeStatus({})),
    ]);
    const its = agents.find((agent) => agent.name === name);
    depth = its?.queueDepth ?? 0;
    busy = its?.busy ?? false;
    const held = states.flatMap((state) => state.heldBack.filter(({ to }) => to === name));
    heldBack = held.reduce((sum, { waiting }) => sum + waiting, 0);
    heldBackMax = Math.max(heldBackMax, heldBack);
    depthMax = Math.max(depthMax, depth);
    return held.length;
  };
  const looking = (async () => {
    while (!ended) {
      await look();
      await pause(lookMs);
    }
  })();
  looking.catch((error: unknown) => {
    fault = error;
  });
  return {
    /** Why it looks no more; undefined while it does. */
    fault: () => fault,
    async end(refusals: Readonly<Record<string, number>>): Promise<Watched> {
      ended = true;
      await looking;
      const until = performance.now() + RESUME_MS;
      let told = await look();
      for (; told > 0 && performance.now() < until; told = await look()) await pause(lookMs);
      const heard = heldBackMax > 0 && (refusals['RECIPIENT_BUSY'] ?? 0) > 0;
      return {
        queue: { depth_max: depthMax, bound: QUEUE_MESSAGES },
        busy: { held_back_max: heldBackMax, refusals },
        filled: depthMax * 100 >= QUEUE_MESSAGES * BUSY_PERCENT && depthMax <= QUEUE_MESSAGES,
        busy_reached_senders: heard,
        ready_resumed: told === 0 && !busy && depth < QUEUE_MESSAGES,
      };
    },
  };
}
