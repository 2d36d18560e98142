/** The registry service as a process of its own. */
import { runService } from '@fleetwire/runtime';
import { registry } from './service.ts';

await runService(registry, { handleSignals: true });
