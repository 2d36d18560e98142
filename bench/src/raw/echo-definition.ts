/** One call of the registry's service, as generated: what the bare server and client speak. */

import { RegistryServiceDefinition } from '@fleetwire/gen/registry';

export const ECHO = {
  name: RegistryServiceDefinition.name,
  fullName: RegistryServiceDefinition.fullName,
  methods: { lookupAgent: RegistryServiceDefinition.methods.lookupAgent },
} as const;
