/** Asks a server for its health, for readiness probes and `doctor`. */

import { HealthDefinition } from 'nice-grpc-server-health';
import { createRpcClient, type RpcClientOptions } from './client.ts';

/** True when `service` (empty: the whole process) serves; rejects when the server does not answer or knows no such service. */
export async function checkHealth(options: RpcClientOptions, service = ''): Promise<boolean> {
  const client = createRpcClient(HealthDefinition, options);
  try {
    return (await client.check({ service })).status === 1;
  } finally {
    client.close();
  }
}
