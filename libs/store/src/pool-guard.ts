/**
 * Keeps the pool whole when connections die. Kysely's controlled transactions, which MikroORM uses throughout,
 * never give a connection back whose `begin` or `rollback` failed: without this each restart of PostgreSQL would
 * cost as many connections of the pool as there were transactions, until no call gets through.
 */

/** What is used of a pg client while the pool has lent it out. */
export interface PooledClient {
  /** A query object of its own comes back as it is, not as a promise. */
  query(text: unknown, ...rest: unknown[]): Promise<unknown>;
  release(destroy?: boolean): void;
}

export interface ClientPool {
  connect(): Promise<PooledClient>;
  readonly options: {
    readonly password?: unknown;
    /** Settings of the server, as at its command line. */
    readonly options?: string;
    readonly types?: { setTypeParser(oid: number, parse: (text: string) => unknown): void };
  };
  on(event: 'connect', listener: (client: PooledClient) => void): unknown;
}

/** Object id of int8; its values here are times in microseconds and counters, all exact as numbers. */
const INT8 = 20;

export function guardPool(pool: ClientPool): void {
  pool.options.types?.setTypeParser(INT8, Number);
  pool.on('connect', guardClient);
}

function guardClient(client: PooledClient): void {
  const query = client.query.bind(client);
  makeReleaseIdempotent(client);
  client.query = (text, ...rest) => {
    const result = query(text, ...rest);
    if (typeof text !== 'string' || !/^(begin|start transaction|rollback$)/.test(text)) return result;
    return result.catch((error: unknown) => {
      client.release(true);
      throw error;
    });
  };
}

/** The pool assigns `release` at each lending and throws at a second call, which our early one would provoke. */
function makeReleaseIdempotent(client: PooledClient): void {
  let current = client.release;
  Object.defineProperty(client, 'release', {
    configurable: true,
    get: () => current,
    set: (release: PooledClient['release']) => {
      let done = false;
      current = (destroy) => {
        if (done) return;
        done = true;
        release(destroy);
      };
    },
  });
}
