/** The org service as a process of its own. */
import { runService } from '@fleetwire/runtime';
import { org } from './service.ts';

await runService(org, { handleSignals: true });
