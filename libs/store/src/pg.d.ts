/** The few declarations of the PostgreSQL driver that connections of one's own need. */
declare module 'pg' {
  interface Lent {
    query(statement: {
      name: string;
      text: string;
      values: readonly unknown[];
    }): Promise<{ rows: Record<string, unknown>[] }>;
    release(destroy?: boolean): void;
    on(event: 'error', listener: (error: Error) => void): void;
  }
  export class Pool {
    constructor(options: object);
    connect(): Promise<Lent>;
    end(): Promise<void>;
    on(event: 'error', listener: (error: Error) => void): void;
    on(event: 'connect', listener: (client: Lent) => void): void;
  }
}
