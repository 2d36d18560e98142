/** The bare client to the bare server: no deadline, token, trace or error of ours. */

import type { LookupAgentResponse } from '@fleetwire/gen/registry';
import { createChannel, createClient } from 'nice-grpc';
import { ECHO } from './echo-definition.ts';

export interface EchoClient {
  lookupAgent(request: { name: string; org: string }): Promise<LookupAgentResponse>;
}

export function echoClient(address: string): EchoClient {
  return createClient(ECHO, createChannel(address)) as unknown as EchoClient;
}
