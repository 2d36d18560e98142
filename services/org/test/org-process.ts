/** The org service as a process of its own, to be killed and started again on the same address. */

import { fileURLToPath } from 'node:url';
import { type ServiceProcess, serviceProcess, settingsEnv } from '@fleetwire/testkit';
import { type OrgWorld, type Overrides, QUICK } from './fixture.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** Not started yet. `settings` are those of the section org; `natsUrl`: instead of the world's own. */
export function orgProcess(
  world: OrgWorld,
  settings: NonNullable<Overrides['org']>,
  natsUrl = world.nats.url,
): Promise<ServiceProcess> {
  const env = {
    FLEETWIRE_NATS_URL: natsUrl,
    FLEETWIRE_DATABASE_URL: world.databaseUrl,
    FLEETWIRE_DATABASE_POOL_MAX: '4',
    FLEETWIRE_KEYS_DIR: world.keysDir,
    ...settingsEnv('org', { ...QUICK, ...settings }),
  };
  return serviceProcess({ name: 'org', main: MAIN, env });
}
