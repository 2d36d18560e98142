/** One pane of one agent: started, found again, looked at, ended. */

import { execFile } from 'node:child_process';
import { FleetwireError, pause } from '@fleetwire/kernel';
import type { AdapterSpec } from './port.ts';
import { buildScreen, type Screen } from './tmux-screen.ts';
import { isNoServer, type TmuxServer, tmuxEnvironment } from './tmux-server.ts';

/** Columns and rows of a pane that nobody looks at; wide, so that little wraps. */
const SIZE = { columns: 200, rows: 50 } as const;
/** Rows of history that are searched for a marker while waiting for proof, and after a restart. */
export const HISTORY = { observe: 300, recover: 5000 } as const;
/** How long a program may take to end after SIGTERM before it is killed. */
const STOP_GRACE_MS = 3000;

export interface Pane {
  readonly id: string;
  readonly pid: number;
  readonly tty: string;
}

export interface PaneView {
  /** Undefined: the pane is gone, dead, or not ours any more. */
  readonly screen: Screen | undefined;
}

const IDENTITY = '#{pane_id} #{@fleetwire_agent} #{pane_pid} #{pane_dead}';
const FACTS = '#{cursor_y} #{cursor_flag} #{pane_width} #{pane_height}';

const gone = { screen: undefined } as const;

/** No command of tmux, so that its name in tmux's words tells what has failed. */
const NOT_ITS_PANE = 'fleetwire-not-its-pane';

/**
 * To come before commands that type: within one call of tmux nothing happens in between, so that what follows is typed into
 * this program's pane or not at all. Where somebody reads its history, that ends: keys would go there. What is read of a
 * pane is always its program's screen.
 */
export function typingInto(agent: string, pane: Pane): string[][] {
  const same = `#{&&:#{==:#{pane_pid},${pane.pid}},#{&&:#{==:#{@fleetwire_agent},${agent}},#{==:#{pane_dead},0}}}`;
  return [
    ['if-shell', '-F', '-t', pane.id, same, '', NOT_ITS_PANE],
    ['if-shell', '-F', '-t', pane.id, '#{pane_in_mode}', `send-keys -t ${pane.id} -X cancel`],
  ];
}

/** One look at the pane, all of one moment; a pane that is not the agent's own counts as gone. */
export async function lookAt(
  server: TmuxServer,
  agent: string,
  pane: Pane,
  history: number,
): Promise<PaneView> {
  const target = ['-t', pane.id];
  const separator = `fleetwire-${Math.random().toString(36).slice(2)}`;
  let out: string;
  try {
    out = await server.run([
      ['display-message', '-p', ...target, `${IDENTITY} ${FACTS}`],
      ['capture-pane', '-p', ...target, '-S', String(-history)],
      ['display-message', '-p', separator],
      ['capture-pane', '-p', '-J', ...target, '-S', String(-history)],
    ]);
  } catch (error) {
    if (isGone(error)) return gone;
    throw error;
  }
  const lines = out.split('\n');
  lines.pop();
  const [id, owner, pid, dead, y, visible, width, height] = lines.shift()!.split(' ');
  if (id !== pane.id || owner !== agent || Number(pid) !== pane.pid || dead === '1') return gone;
  const middle = lines.indexOf(separator);
  const facts = {
    cursorY: Number(y),
    cursorVisible: visible !== '0',
    width: Number(width),
    height: Number(height),
  };
  return { screen: buildScreen(facts, lines.slice(0, middle), lines.slice(middle + 1)) };
}

/** Whether what failed did so because the pane is gone or not the agent's own. */
export function isGone(error: unknown): boolean {
  return isNoServer(error) || isNoPane(error);
}

function isNoPane(error: unknown): boolean {
  if (!(error instanceof FleetwireError)) return false;
  return error.message.includes(NOT_ITS_PANE) || /can't find (pane|session|window)/.test(error.message);
}

/** The pane if it still runs this agent's program. */
export async function findPane(
  server: TmuxServer,
  agent: string,
  id: string,
  pid: number,
): Promise<Pane | undefined> {
  try {
    const out = await server.run([['display-message', '-p', '-t', id, `${IDENTITY} #{pane_tty}`]]);
    const [found, owner, foundPid, dead, tty] = out.trim().split(' ');
    const same = found === id && owner === agent && Number(foundPid) === pid && dead === '0';
    return same ? { id, pid, tty: tty! } : undefined;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Starts the program in a session of its own, after removing what earlier ones of this agent left. */
export function startPane(server: TmuxServer, spec: AdapterSpec): Promise<Pane> {
  return server.exclusively(async () => {
    let taken = false;
    for (const [id, status] of await server.panes())
      if (status.agent === spec.agent) await endPane(server, id);
    try {
      await server.run([['has-session', '-t', `=${spec.name}`]]);
      taken = true;
    } catch {
      // Free.
    }
    // The server must not inherit an agent's variables, or the next agent would: they go to the session alone,
    // by the client's environment, where other users of the machine cannot read them as they could in argv.
    await server.run([
      ['start-server'],
      ['set-option', '-s', 'exit-empty', 'off'],
      ['set-option', '-g', 'remain-on-exit', 'on'],
      ['set-option', '-g', 'history-limit', String(HISTORY.recover)],
      ['set-option', '-g', 'default-terminal', 'screen-256color'],
    ]);
    const session = taken ? spec.agent : spec.name;
    let out: string;
    try {
      out = await server.run(
        [
          ['set-option', '-g', 'update-environment', Object.keys(spec.env).join(' ')],
          newSession(session, spec),
          ['set-option', '-p', '-t', `=${session}:`, '@fleetwire_agent', spec.agent],
        ],
        { env: tmuxEnvironment(spec.env) },
      );
    } finally {
      // Also after a failure: the server must not stay without a session.
      await server.run([
        ['set-option', '-g', 'update-environment', ''],
        ['set-option', '-s', 'exit-empty', 'on'],
      ]);
    }
    const [id, pid, tty] = out.trim().split(' ');
    return { id: id!, pid: Number(pid), tty: tty! };
  });
}

/** A single word as command would go through a shell; `exec "$@"` hands the words over as they are. */
function newSession(session: string, spec: AdapterSpec): string[] {
  const size = ['-x', String(SIZE.columns), '-y', String(SIZE.rows)];
  const print = ['-P', '-F', '#{pane_id} #{pane_pid} #{pane_tty}'];
  const program = ['/bin/sh', '-c', 'exec "$@"', 'fleetwire', ...spec.command];
  return ['new-session', '-d', '-s', session, ...size, '-c', spec.cwd, ...print, '--', ...program];
}

/** Ends everything that runs on the pane's terminal: SIGTERM, then SIGKILL; then the session. */
export async function stopPane(server: TmuxServer, agent: string, pane: Pane): Promise<void> {
  if ((await findPane(server, agent, pane.id, pane.pid)) !== undefined) {
    // Listed once, while the pane is certainly ours: once it is dead its terminal may be somebody else's.
    const ours = new Set([pane.pid, ...(await processesOn(pane))]);
    signalAll(pane.pid, ours, 'SIGTERM');
    const deadline = performance.now() + STOP_GRACE_MS;
    while (performance.now() < deadline && (await anyLeft(server, agent, pane, ours))) await pause(50);
    signalAll(pane.pid, new Set([...ours].filter(isAlive)), 'SIGKILL');
  }
  if ((await server.panes()).get(pane.id)?.agent === agent) await endPane(server, pane.id);
}

/** The pane's own process counts as ended with the pane: tmux may be late to wait for it. */
async function anyLeft(
  server: TmuxServer,
  agent: string,
  pane: Pane,
  pids: ReadonlySet<number>,
): Promise<boolean> {
  if ([...pids].some((pid) => pid !== pane.pid && isAlive(pid))) return true;
  return (await findPane(server, agent, pane.id, pane.pid)) !== undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function endPane(server: TmuxServer, id: string): Promise<void> {
  try {
    await server.run([['kill-pane', '-t', id]]);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function signalAll(leader: number, pids: ReadonlySet<number>, signal: NodeJS.Signals): void {
  for (const pid of [...(pids.has(leader) ? [-leader] : []), ...pids])
    try {
      process.kill(pid, signal);
    } catch {
      // Gone by itself.
    }
}

/** Processes whose terminal is the pane's, whatever their process group; the pane's own process among them. */
function processesOn(pane: Pane): Promise<number[]> {
  return new Promise((resolve) => {
    const tty = pane.tty.replace(/^\/dev\//, '');
    execFile('ps', ['-t', tty, '-o', 'pid='], { env: tmuxEnvironment(), encoding: 'utf8' }, (_error, out) => {
      resolve(
        out
          .split('\n')
          .map((line) => Number(line.trim()))
          .filter((pid) => pid > 1),
      );
    });
  });
}
