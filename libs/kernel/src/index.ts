/** The ground floor: errors, identifiers, names, clocks; pure, imports nothing. */
export * from './addresses.ts';
export * from './backoff.ts';
export * from './deque.ts';
export * from './errors.ts';
export * from './hash.ts';
export * from './ids.ts';
export * from './names.ts';
export * from './newest.ts';
export * from './ports.ts';
export * from './priority-levels.ts';
export * from './slices.ts';
export * from './tally.ts';
export * from './texts.ts';
export * from './token-bucket.ts';
