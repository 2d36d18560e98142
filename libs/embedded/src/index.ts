/** Servers as child processes (NATS, PostgreSQL), kept alive and ended with us, and the lock of the data folder. */
export type { ChildExit, ChildServer } from './child.ts';
export { boundLog, logTail } from './child-log.ts';
export type { FolderLock } from './folder-lock.ts';
export { FOLDER_FORMAT, lockFolder, lockHolder } from './folder-lock.ts';
export { freePort, portIsFree } from './free-port.ts';
export { makeFolder, makePrivateFolder } from './make-folder.ts';
export type { NatsServer, NatsServerOptions } from './nats.ts';
export { startNatsServer } from './nats.ts';
export { findNatsServer } from './nats-binary.ts';
export { type NatsGreeting, natsGreeting } from './nats-greeting.ts';
export type { PostgresOptions, PostgresServer } from './postgres.ts';
export { createDatabase, dropDatabase, startPostgres } from './postgres.ts';
export { findPostgres } from './postgres-binaries.ts';
export type { ProcessIdentity } from './process-identity.ts';
export { identityOf, isRunning } from './process-identity.ts';
export type { Supervised, SuperviseOptions } from './supervise.ts';
export { superviseChild } from './supervise.ts';
