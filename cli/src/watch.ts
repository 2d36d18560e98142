/** A list that is shown once, or looked at again and again until somebody has seen enough. */

import { asFleetwireError, FleetwireError, pause, printable } from '@fleetwire/kernel';
import type { CommandContext } from './command-context.ts';
import { catchSignals } from './fabric/signals.ts';
import { errorDocument, type Output } from './output.ts';
import { processScreen, type Screen } from './screen.ts';

/** The option of commands that show a view. */
export const WATCH = ['--watch', 'go on showing it, as it changes, until Ctrl-C'] as const;

export interface View {
  /** With --json. */
  readonly document: object;
  /** For people. */
  readonly lines: readonly string[];
  /** What is told of when it changes, a line each: without what moves by itself, such as times. */
  readonly rows: readonly string[];
}

export interface WatchOptions {
  readonly output: Output;
  readonly screen: Screen;
  /** Milliseconds between two looks. */
  readonly intervalMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
  look(): Promise<View>;
  /** Called when a look was refused for want of a good token: the next one comes with another. */
  renew(): void;
}

/** Shows what `look` gives; with `watching` until Ctrl-C. Rejects with what the first look rejects with. */
export async function show(
  context: CommandContext,
  watching: boolean | undefined,
  look: () => Promise<View>,
): Promise<void> {
  const { output } = context;
  if (watching !== true) {
    const { document, lines } = await look();
    return output.result(document, () => lines);
  }
  const leaving = catchSignals();
  const intervalMs = context.config.watch.interval_ms;
  const renew = () => context.renewHub();
  const explained = () =>
    look().catch(async (error: unknown) => {
      throw await context.explain(error);
    });
  try {
    const { signal } = leaving;
    await watch({ output, screen: processScreen(), intervalMs, signal, look: explained, renew });
  } finally {
    leaving.release();
  }
}

/** A look may use this part of the time, so that watching a large org asks less often. */
const LOOKING_SHARE = 0.25;

/**
 * On a terminal the view is drawn anew whenever its lines differ; elsewhere, and with --json, only changes are told. While
 * the hub is away that is said once, and looked again; any other refusal ends it.
 */
export async function watch(o: WatchOptions): Promise<void> {
  const teller = o.output.json ? jsonTeller(o) : o.screen.isTerminal ? drawer(o) : changeTeller(o);
  const ended = whenAborted(o.signal);
  let refused = false;
  for (let first = true; !o.signal.aborted && !o.screen.isGone(); first = false) {
    const began = performance.now();
    // Without waiting for a look that is under way when the end comes.
    const seen = await Promise.race([o.look().catch(asFleetwireError), ended]);
    if (seen === undefined) return;
    if (!(seen instanceof FleetwireError)) teller.shown(seen);
    else if (first || !(isPassing(seen) || (seen.kind === 'unauthenticated' && !refused))) throw seen;
    else if (seen.kind === 'unauthenticated') o.renew();
    else teller.failed(seen);
    refused = seen instanceof FleetwireError && seen.kind === 'unauthenticated';
    const tookMs = performance.now() - began;
    await pause(Math.max(o.intervalMs, tookMs / LOOKING_SHARE), o.signal);
  }
}

const isPassing = ({ kind }: FleetwireError) =>
  kind === 'unavailable' || kind === 'deadline_exceeded' || kind === 'resource_exhausted';

const whenAborted = (signal: AbortSignal) =>
  new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });

interface Teller {
  shown(view: View): void;
  failed(error: FleetwireError): void;
}

/** Moments move with every heartbeat: that is no change. */
const MOVING = new Set(['last_seen_at', 'as_of']);

function jsonTeller({ output }: WatchOptions): Teller {
  let told = '';
  const tell = (document: object) => {
    const text = JSON.stringify(document, (key, value) => (MOVING.has(key) ? undefined : value));
    if (text !== told) output.part(document, () => []);
    told = text;
  };
  return {
    shown: ({ document }) => tell(document),
    failed: (error) => tell({ error: errorDocument(error) }),
  };
}

const clockTime = () => `${new Date().toISOString().slice(11, 19)}Z`;
const said = (error: FleetwireError) => `${printable(error.message)}; trying again`;

/** All of it at first, then what has come (+) and gone (-). */
function changeTeller({ output }: WatchOptions): Teller {
  let rows: readonly string[] | undefined;
  let failure = '';
  return {
    shown(view) {
      const before = rows;
      rows = view.rows;
      const back = failure === '' ? [] : [`${clockTime()}  ! the hub answers again`];
      failure = '';
      if (before === undefined) return output.part({}, () => view.lines);
      const [old, now] = [new Set(before), new Set(rows)];
      const changes = [
        ...before.filter((row) => !now.has(row)).map((row) => `${clockTime()}  - ${row}`),
        ...rows.filter((row) => !old.has(row)).map((row) => `${clockTime()}  + ${row}`),
      ];
      if (back.length + changes.length > 0) output.part({}, () => [...back, ...changes]);
    },
    failed(error) {
      if (failure !== error.reason) output.part({}, () => `${clockTime()}  ! ${said(error)}`);
      failure = error.reason;
    },
  };
}

function drawer({ screen }: WatchOptions): Teller {
  let last: readonly string[] = [];
  return {
    shown(view) {
      last = view.lines;
      screen.draw([...last, '', 'Ctrl-C ends']);
    },
    failed: (error) => screen.draw([...last, '', `${clockTime()}  ${said(error)}`]),
  };
}
