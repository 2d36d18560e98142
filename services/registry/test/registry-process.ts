/** The registry as a process of its own, to be killed and started again on the same address. */

import { fileURLToPath } from 'node:url';
import { type ServiceProcess, serviceProcess, settingsEnv } from '@fleetwire/testkit';
import type { RegistryWorld } from './fixture.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

/** Not started yet. `settings` are those of the section registry. */
export function registryProcess(
  world: RegistryWorld,
  settings: Readonly<Record<string, number>> = {},
): Promise<ServiceProcess> {
  const env = {
    FLEETWIRE_NATS_URL: world.nats.url,
    FLEETWIRE_DATABASE_URL: world.databaseUrl,
    FLEETWIRE_DATABASE_POOL_MAX: '6',
    FLEETWIRE_KEYS_DIR: world.keysDir,
    FLEETWIRE_REGISTRY_ORG_ADDRESS: world.orgAddress,
    ...settingsEnv('registry', { sweep_ms: 200, flush_ms: 100, ...settings }),
  };
  return serviceProcess({ name: 'registry', main: MAIN, env });
}
