/** What every service is run by: its life, its parts. */

export { type BootstrapOptions, bootstrapFabric, readFabricRecord } from './bootstrap.ts';
export { Lifecycle, type LifecycleState, nextState } from './lifecycle.ts';
export { type RunningService, type RunOptions, runService } from './run-service.ts';
export {
  type BrokerNeeds,
  type Component,
  defineService,
  type ServiceConfig,
  type ServiceContext,
  type ServiceDefinition,
  standardSections,
  type Wiring,
} from './service.ts';
export { VERSION } from './version.ts';
