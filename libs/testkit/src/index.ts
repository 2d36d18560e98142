/** For tests only: real servers that leave nothing behind, folders, and waiting without sleeping. */
export type { EventuallyOptions } from './eventually.ts';
export { eventually } from './eventually.ts';
export { fabricUser } from './fabric-user.ts';
export type { FirstAdmin } from './first-admin.ts';
export { firstAdmin } from './first-admin.ts';
export type { TestNats, TestNatsOptions } from './nats.ts';
export { plainConfig, startTestNats } from './nats.ts';
export { operatorMode } from './operator-mode.ts';
export type { OwnPostgres, TestPostgres } from './postgres.ts';
export { DURABLE, startOwnPostgres, startTestPostgres } from './postgres.ts';
export { errorOf, reasonOf } from './refusal.ts';
export { seededRandom } from './seeded-random.ts';
export type { ServiceProcess, ServiceProcessOptions } from './service-process.ts';
export { serviceProcess, settingsEnv } from './service-process.ts';
export { silentLog } from './silent-log.ts';
export { SMALL_STREAMS } from './small-streams.ts';
export type { TempFolder } from './temp-folder.ts';
export { tempFolder } from './temp-folder.ts';
