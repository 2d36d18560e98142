/** What PostgreSQL's planner is told on delivery's connections. */

/**
 * Lists are read along an index that has their order, a bounded number of rows. Of a partition that was filled a moment ago
 * the planner knows nothing, takes it for small, and would rather read and sort all of it: tens of milliseconds, not one.
 * Where nothing else is possible it sorts all the same (https://www.postgresql.org/docs/17/runtime-config-query.html).
 */
export const PLANNER = { enable_sort: 'off' } as const;
