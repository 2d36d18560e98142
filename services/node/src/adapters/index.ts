/** The adapters that start a program of their own, by kind. */

import type { AdapterFactory } from './port.ts';
import { stdioAdapter } from './stdio.ts';
import { tmuxAdapter } from './tmux.ts';

export const ADAPTERS: Readonly<Record<'tmux' | 'stdio', AdapterFactory>> = {
  tmux: tmuxAdapter,
  stdio: stdioAdapter,
};
