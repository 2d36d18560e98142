/** What asking history costs, by the look-ups by primary key that take as long. */

import { median, round } from '../percentiles.ts';
import { runScript } from './script.ts';

interface Asked {
  readonly ms: number;
  readonly look_ups: number;
  readonly rows: number;
}

interface Printed {
  readonly messages: number;
  readonly written_per_s: number;
  readonly indexed_per_s: number;
  /** By table. */
  readonly bytes_a_message: Readonly<Record<string, number>>;
  /** One for each pass: `look_up_ms`, and the questions by name. */
  readonly by_call: readonly Readonly<Record<string, number | Asked>>[];
  readonly by_store: readonly Readonly<Record<string, number | Asked>>[];
}

export interface QuestionFigures extends Omit<Printed, 'by_call' | 'by_store'> {
  /** Medians over the passes: over gRPC, and of the store alone. */
  readonly by_call: Readonly<Record<string, number | Asked>>;
  readonly by_store: Readonly<Record<string, number | Asked>>;
  readonly passes: Pick<Printed, 'by_call' | 'by_store'>;
}

/** Each question so often in each pass. */
const ROUNDS = 60;

export async function measureQuestions(messages: number, passes: number): Promise<QuestionFigures> {
  const printed = await runScript<Printed>('services/delivery/test/measure-history.ts', [
    messages,
    ROUNDS,
    passes,
  ]);
  const { by_call, by_store, ...shared } = printed;
  return {
    ...shared,
    by_call: mediansOf(by_call),
    by_store: mediansOf(by_store),
    passes: { by_call, by_store },
  };
}

function mediansOf(passes: Printed['by_call']): Record<string, number | Asked> {
  const names = Object.keys(passes[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, medianOf(passes.map((pass) => pass[name]!))]));
}

function medianOf(figures: readonly (number | Asked)[]): number | Asked {
  const numbers = figures.filter((figure) => typeof figure === 'number');
  if (numbers.length > 0) return median(numbers);
  const asked = figures.filter((figure) => typeof figure !== 'number');
  const of = (pick: (one: Asked) => number) => round(median(asked.map(pick)), 2);
  return { ms: of((a) => a.ms), look_ups: of((a) => a.look_ups), rows: asked[0]!.rows };
}
