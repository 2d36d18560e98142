/** The one declaration of the library that a bulk insert needs. */
declare module 'pg-copy-streams' {
  import type { Writable } from 'node:stream';
  /** Goes to a pg client's `query`; takes what `copy ... from stdin` is to read, and finishes once it is stored. */
  export function from(text: string): Writable;
}
