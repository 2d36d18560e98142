/** The node as a process of its own. */

import { start } from './service.ts';

await start({ handleSignals: true });
