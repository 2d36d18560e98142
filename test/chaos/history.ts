/** What delivery's history says of the messages of a run, read from its tables. */

import { Stage } from '@fleetwire/gen/message';
import { Client } from 'pg';
import type { Settled } from './reconcile.ts';

export interface History extends AsyncDisposable {
  /** Settlements that are final. */
  finals(): Promise<number>;
  all(): Promise<{ readonly history: Settled[]; readonly dead: string[] }>;
}

export async function openHistory(databaseUrl: string): Promise<History> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'chaos' });
  client.on('error', () => undefined);
  await client.connect();
  const query = async (sql: string) => (await client.query(sql)).rows;
  return {
    finals: async () => {
      const [row] = await query('select count(*)::int as finals from delivery.settlements where final');
      return row!['finals'] as number;
    },
    all: async () => {
      const rows = await query(
        `select m.id, s.stage, s.final, s.reason from delivery.messages m
           left join delivery.settlements s on s.org = m.org and s.message_id = m.id`,
      );
      const dead = await query('select message_id from delivery.dead_letters');
      return { history: rows.map(settledOf), dead: dead.map((row) => row['message_id'] as string) };
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}

function settledOf({ id, stage, final, reason }: Record<string, unknown>): Settled {
  const name = Object.entries(Stage)
    .find(([, number]) => number === stage)?.[0]
    .toLowerCase();
  return { id: id as string, stage: name, final: final === true, reason: (reason as string | null) ?? '' };
}
