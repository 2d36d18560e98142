/** Server reflection, so that generic gRPC tools can list and call the services. */

import { fileDescriptorSet } from '@fleetwire/gen/descriptors';
import type { Server } from 'nice-grpc';
import { ServerReflection, ServerReflectionService } from 'nice-grpc-server-reflection';

/** Only services of the protos are described; others are served without reflection. */
export function addReflection(server: Server, serviceNames: readonly string[]): void {
  const described = serviceNames.filter((name) => name.startsWith('fleetwire.'));
  server.add(ServerReflectionService, ServerReflection(fileDescriptorSet(), described));
}
