/** Mutation: all epochs of a partition share one durable, so that what one holder acknowledges counts for another's. */

import { replaceSource } from '../replace-source.ts';

const takeOver = 'services/router/src/handlers/take-over.ts';
const session = 'services/router/src/handlers/partition-session.ts';

replaceSource('one-durable', [
  {
    file: takeOver,
    text: 'const older = await olderDurables(consumers, partition, epoch);',
    by: `const shared = routerConsumer(partition, 0).durable_name;
  const { ackFloor } = (await consumers.info('INGRESS', shared))!;
  if (epoch > 0) return { durable: shared, startSequence: ackFloor + 1 };
  const older = await olderDurables(consumers, partition, epoch);`,
  },
  // A durable that somebody else has used does not count from 1, and a holder must not stumble over that.
  { file: session, text: 'firstDelivery: 1,', by: '' },
  {
    file: session,
    text: "if (message.deliverySequence !== this.#delivered + 1) this.halt('a delivery was lost');",
    by: '',
  },
]);
