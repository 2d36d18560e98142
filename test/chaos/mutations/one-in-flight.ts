/** Mutation: a lane of a router gives out its next pack while one is in flight. */

import { replaceSource } from '../replace-source.ts';

const file = 'services/router/src/domain/lanes.ts';

replaceSource('one-in-flight', [
  {
    file,
    text: 'lane.inFlight = true;\n    return { lane: lane.name, items: this.#take(lane) };',
    by: `const items = this.#take(lane);
    if (lane.head < lane.waiting.length) this.#ready.push(lane);
    return { lane: lane.name, items };`,
  },
  // No lane is ever shut, so there is nothing to open again.
  { file, text: "invariant(lane?.inFlight, 'only a pack in flight can be done');", by: 'if (lane) return;' },
]);
