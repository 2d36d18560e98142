/** What the registry is configured by, and what a replica is wired from. */

import type { ServiceContext } from '@fleetwire/runtime';
import { registrySection } from '../config.ts';

export const config = { registry: registrySection };
export type Context = ServiceContext<typeof config>;
