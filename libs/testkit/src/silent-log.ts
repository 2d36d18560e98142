/** A log of which nothing is to be seen. */

import { createLog } from '@fleetwire/telemetry';

export const silentLog = createLog({ service: 'test', instance: 'test', version: '0', level: 'silent' });
