/** The version of this build, and the names of its replicas. */

import { readFileSync } from 'node:fs';
import { systemRandom } from '@fleetwire/kernel';

/** As in package.json. */
export const VERSION: string = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
).version;

/** `<service>-<replica>`; a replica without a name gets a random one. */
export function instanceName(service: string, given: string): string {
  return `${service}-${given || Buffer.from(systemRandom.bytes(5)).toString('hex')}`;
}
