/** The configuration of a test's nats-server in operator mode: orgs kept apart by accounts, as in production. */

import { join } from 'node:path';
import { natsServerConfig } from '@fleetwire/identity';
import type { TestNatsOptions } from './nats.ts';

const MAX_PAYLOAD = 2 * 1024 * 1024;

/** For `startTestNats({ config: operatorMode(keysDir) })`; the keys folder must have been made. */
export function operatorMode(keysDir: string): NonNullable<TestNatsOptions['config']> {
  return ({ dir, port }) =>
    natsServerConfig(keysDir, {
      host: '127.0.0.1',
      port,
      serverName: 'test',
      storeDir: join(dir, 'jetstream'),
      resolverDir: join(dir, 'accounts'),
      maxPayload: MAX_PAYLOAD,
    });
}
