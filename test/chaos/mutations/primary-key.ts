/** Mutation: to a node every message is new. */

import { replaceSource } from '../replace-source.ts';

replaceSource('primary-key', [
  {
    file: 'services/node/src/store/inbox-table.ts',
    text: 'this.#seen.run(id, agent, fromAgent, atUs)',
    by: 'this.#seen.run(id + Math.random(), agent, fromAgent, atUs)',
  },
]);
