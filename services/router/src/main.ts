/** The router as a process of its own. */

import { runService } from '@fleetwire/runtime';
import { router } from './service.ts';

await runService(router, { handleSignals: true });
