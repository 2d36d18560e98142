/** The few declarations of the PostgreSQL driver that creating a database needs. */
declare module 'pg' {
  export class Client {
    constructor(options: {
      connectionString: string;
      connectionTimeoutMillis?: number;
      application_name?: string;
    });
    connect(): Promise<void>;
    query(text: string, values?: readonly unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
    escapeIdentifier(name: string): string;
    end(): Promise<void>;
    on(event: 'error', listener: (error: Error) => void): void;
  }
}
