/** W3C traceparent as text (https://www.w3.org/TR/trace-context/), and which one belongs to the code that is running. */

import { AsyncLocalStorage } from 'node:async_hooks';
import { randomFillSync } from 'node:crypto';
import { TRACEPARENT } from '@fleetwire/kernel';

const LENGTH = 55;
const BYTES = 24;

const pool = Buffer.alloc(BYTES * 256);
let used = pool.length;

/** The root of a new trace; ids are random. Unless `sampled`, nobody records spans for it. */
export function newTraceparent(sampled = false): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const ids = pool.toString('hex', used, used + BYTES);
  used += BYTES;
  return `00-${ids.slice(0, 32)}-${ids.slice(32)}-0${sampled ? 1 : 0}`;
}

export function isTraceparent(text: string): boolean {
  return text.length === LENGTH && TRACEPARENT.test(text);
}

/** The 32 hexadecimal digits of the trace; empty when `traceparent` is too short to hold them. */
export function traceIdOf(traceparent: string): string {
  return traceparent.length < LENGTH ? '' : traceparent.slice(3, 35);
}

/** The sampled flag, without parsing more than one character; false for what is too long or too short. */
export function isSampled(traceparent: string): boolean {
  if (traceparent.length !== LENGTH) return false;
  const code = traceparent.charCodeAt(LENGTH - 1);
  return ((code <= 57 ? code : code - 87) & 1) === 1;
}

const current = new AsyncLocalStorage<string>();

/** Runs `fn`, and all that it starts, as part of a trace: its log lines carry the trace id. */
export function runWithTrace<T>(traceparent: string, fn: () => T): T {
  return current.run(traceparent, fn);
}

/** Empty outside of any trace. */
export function currentTraceparent(): string {
  return current.getStore() ?? '';
}
