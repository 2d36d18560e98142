/** Progress of a call, for clients that have asked for it. */

import type { ServerContext } from '@modelcontextprotocol/server';
import type { Call } from './tool.ts';

export function progressOf({ mcpReq }: ServerContext): Pick<Call, 'progress'> {
  const progressToken = mcpReq._meta?.progressToken;
  return {
    progress: async (progress, total, message) => {
      if (progressToken === undefined) return;
      const params = { progressToken, progress, total, message };
      await mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
    },
  };
}
