/** What all parts agree on: subjects, streams, consumers, buckets, headers, limits, errors. Data, no input or output. */
export * from './end-kinds.ts';
export * from './errors.ts';
export * from './events.ts';
export * from './headers.ts';
export * from './limits.ts';
export * from './message-event.ts';
export * from './overflow-event.ts';
export * from './profile.ts';
export * from './receipts.ts';
export * from './stages.ts';
export * from './streams.ts';
export * from './subjects.ts';
export * from './subscribers.ts';
export * from './usage-event.ts';
