/** The routing table and what feeds it, for programs that measure them; services do not import each other. */
export { resolve } from './domain/resolve.ts';
export { RoutingTable } from './domain/routing-table.ts';
export { RoutesWatch } from './handlers/routes-watch.ts';
