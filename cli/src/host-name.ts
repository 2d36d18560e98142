/** The name of this machine, as the name of a node. */

import { hostname } from 'node:os';
import { nameOfHost } from '@fleetwire/kernel';

/** `prefix` stands before it. */
export const hostName = (prefix = ''): string => nameOfHost(`${prefix}${hostname()}`);
