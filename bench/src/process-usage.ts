/** CPU time and memory of the fabric's processes by role, read from Linux's /proc; nothing on other systems. */

import { readdirSync, readFileSync } from 'node:fs';
import { round } from './percentiles.ts';

/** A figure by role, such as `nats-server` or `node-far`. Of CPU: microseconds of user and system time. */
export type ByRole = Readonly<Record<string, number>>;

/** One tick of /proc/<pid>/stat is a hundredth of a second on every Linux that Node.js runs on. */
const TICK_US = 10_000;

interface ProcessCpu {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
  /** Its own user and system time, in ticks, and that of its children that have ended. */
  readonly ticks: number;
  readonly endedTicks: number;
}

/** Of all processes started under `home` with their children, and of the given ones. */
export function readCpu(home: string, given: ReadonlyMap<number, string>): ByRole {
  return sumByRole(home, given, cpuUs);
}

/** MB that no file backs, heaps and buffers, by role. Of PostgreSQL without the memory that its processes share. */
export function readMemory(home: string, given: ReadonlyMap<number, string>): ByRole {
  const bytes = sumByRole(home, given, ({ pid }) => anonymousBytes(pid));
  return Object.fromEntries(Object.entries(bytes).map(([role, sum]) => [role, round(sum / 1e6, 1)]));
}

/** Process ids by role. */
export function pidsOf(home: string, role: string): number[] {
  return listProcesses().flatMap(({ pid }) => (roleOfDaemon(pid, home) === role ? [pid] : []));
}

function sumByRole(
  home: string,
  given: ReadonlyMap<number, string>,
  of: (process: ProcessCpu) => number | undefined,
): Record<string, number> {
  const processes = listProcesses();
  const roles = new Map(given);
  for (const { pid } of processes) {
    const role = roleOfDaemon(pid, home);
    if (role !== undefined) roles.set(pid, role);
  }
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const sums: Record<string, number> = {};
  const unknown = new Set<string>();
  for (const process of processes) {
    const role = roleOf(process, roles, byPid);
    if (role === undefined) continue;
    const figure = of(process);
    if (figure === undefined) unknown.add(role);
    else sums[role] = (sums[role] ?? 0) + figure;
  }
  for (const role of unknown) delete sums[role];
  return sums;
}

/** The difference for each of `messages`, by role and in `total`. */
export function cpuPerMessage(before: ByRole, after: ByRole, messages: number): ByRole {
  const figures: Record<string, number> = {};
  let total = 0;
  for (const [role, cpuUs] of Object.entries(after)) {
    const used = cpuUs - (before[role] ?? 0);
    figures[role] = round(used / messages, 1);
    total += used;
  }
  return { ...figures, total: round(total / messages, 1) };
}

/** A server that `up` has started counts by its own name, whatever processes it has started in turn. */
function roleOf(
  process: ProcessCpu,
  roles: ReadonlyMap<number, string>,
  byPid: ReadonlyMap<number, ProcessCpu>,
): string | undefined {
  let server: string | undefined;
  for (let at: ProcessCpu | undefined = process; at !== undefined; at = byPid.get(at.parent)) {
    const role = roles.get(at.pid);
    if (role !== undefined) return server ?? role;
    server = at.name;
  }
  return undefined;
}

function roleOfDaemon(pid: number, home: string): string | undefined {
  const environment = textOf(`/proc/${pid}/environ`);
  if (!environment.split('\0').includes(`FLEETWIRE_HOME=${home}`)) return undefined;
  const words = textOf(`/proc/${pid}/cmdline`).split('\0');
  const at = words.findIndex((word) => word.endsWith('main.ts'));
  return at < 0
    ? undefined
    : /^node$/.test(words[at + 1] ?? '')
      ? `node-${words[at + 3] || words[at + 2]}`
      : words[at + 1];
}

/** Undefined when it has just ended. */
function anonymousBytes(pid: number): number | undefined {
  const kB = /^RssAnon:\s+(\d+) kB/m.exec(textOf(`/proc/${pid}/status`))?.[1];
  return kB === undefined ? undefined : 1024 * Number(kB);
}

function listProcesses(): ProcessCpu[] {
  const list: ProcessCpu[] = [];
  for (const entry of namesIn('/proc')) {
    const pid = Number(entry);
    const match = /^\d+ \((.*)\) . (.*)$/s.exec(textOf(`/proc/${pid}/stat`).trim());
    if (match === null) continue;
    const fields = match[2]!.split(' ').map(Number);
    const [own, ofSystem, ended, endedOfSystem] = fields.slice(10, 14) as [number, number, number, number];
    const times = { ticks: own + ofSystem, endedTicks: ended + endedOfSystem };
    list.push({ pid, parent: fields[0]!, name: match[1]!, ...times });
  }
  return list;
}

/** By the scheduler's own count, in nanoseconds, of all threads: a short measurement has few ticks in each process. */
function cpuUs({ pid, ticks, endedTicks }: ProcessCpu): number {
  const threads = namesIn(`/proc/${pid}/task`).map((id) => textOf(`/proc/${pid}/task/${id}/schedstat`));
  const ns = threads.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0);
  return (ns > 0 ? ns / 1000 : ticks * TICK_US) + endedTicks * TICK_US;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** '' when it is gone, or none of ours to read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
