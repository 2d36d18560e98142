/** What asking history costs, against a look-up by primary key: measured by delivery's own program, as a process. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childEnvironment, z } from '@fleetwire/config';

const PROGRAM = fileURLToPath(new URL('../../../services/delivery/test/measure-history.ts', import.meta.url));

const QUESTION = z.object({ ms: z.number(), look_ups: z.number(), rows: z.number() });
const FIGURES = z.object({ look_up_ms: z.number() }).catchall(z.union([QUESTION.partial(), z.number()]));
const DOCUMENT = z.object({
  messages: z.number(),
  /** With a receipt each, by the writing of the service. */
  written_per_s: z.number(),
  indexed_per_s: z.number(),
  bytes_a_message: z.record(z.string(), z.number()),
  /** By gRPC: milliseconds, and how many calls of GetMessage take as long. Medians. */
  by_call: FIGURES,
  /** In the store, without gRPC. */
  by_store: FIGURES,
});

export type HistoryQueries = z.infer<typeof DOCUMENT>;

export interface HistoryQueriesOptions {
  /** Stored before anything is asked; 1,000,000 take some minutes. */
  readonly messages: number;
  readonly report: (line: string) => void;
}

/** Starts its own PostgreSQL and nats-server in a temporary folder; rejects when the program fails. */
export async function measureHistoryQueries({
  messages,
  report,
}: HistoryQueriesOptions): Promise<HistoryQueries> {
  const child = spawn(process.execPath, [PROGRAM, String(messages)], {
    env: childEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let document = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    document += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.trim().split('\n')) report(line);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`measure-history ended with ${code}`);
  return DOCUMENT.parse(JSON.parse(document));
}
