/** What every service is run by: its life, its parts. */

export { type BootstrapOptions, bootstrapFabric, readFabricRecord } from './bootstrap.ts';
export { COLLECTOR_FLAGS } from './collector.ts';
export { Lifecycle, type LifecycleState, nextState } from './lifecycle.ts';
export { OrgAccounts, type OrgAccountsOptions } from './org-accounts.ts';
export { OrgDirectory, type OrgFigures, type Orgs } from './org-directory.ts';
export { Rounds, type RoundsOptions } from './rounds.ts';
export { type RunningService, type RunOptions, runService } from './run-service.ts';
export {
  type BrokerNeeds,
  type Component,
  defineService,
  type ServiceConfig,
  type ServiceContext,
  type ServiceDefinition,
  type Wiring,
} from './service.ts';
export type { RefuseToken, ServiceIdentity } from './service-identity.ts';
export { tenancyFault } from './tenancy.ts';
export { VERSION } from './version.ts';
