/** status: what runs on this machine, and whether it is well. */

import { ERROR_TABLE } from '@fleetwire/contract';
import { checkHealth } from '@fleetwire/rpc';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { fabricProcess, isFabricReady, readFabric } from '../fabric/fabric-record.ts';
import { shownNodeNames } from '../local-nodes.ts';
import { localStatus, statusDetail, statusNotes } from '../local-status.ts';
import { noFabric } from '../node-machine.ts';
import { table } from '../output.ts';

export function addStatusCommand(program: Command, action: Action): void {
  program.command('status').description('what runs, and whether it is well').action(action(status));
}

const HEALTH_MS = 2000;

interface PartStatus {
  readonly name: string;
  readonly kind: 'service' | 'node';
  /** Services: serving, not serving, unreachable. Nodes: as `LocalStatus.state`. */
  readonly status: string;
  readonly address: string;
  readonly detail: string;
  /** What people should know besides, a line each. */
  readonly notes: readonly string[];
}

async function status(context: CommandContext): Promise<void> {
  const { output, config } = context;
  const { data } = config.folders;
  const running = fabricProcess(data);
  const ready = await isFabricReady(data).catch(() => false);
  const record = await readFabric(data).catch(() => undefined);
  const parts = [...(await serviceStatus(context)), ...(await nodeStatus(data))];
  const healthy = parts.some(isUp) && parts.every((part) => isUp(part) || part.status === 'stopped');
  const single_tenant = record?.single_tenant === true;
  const about = record?.about;
  const document = {
    running: running !== undefined,
    ready,
    pid: running?.pid ?? null,
    healthy,
    single_tenant,
    nats: about?.nats ?? null,
    postgres: about?.postgres ?? null,
    web: about?.web ?? null,
    parts,
  };
  const state = ready ? 'runs' : 'is starting';
  const { said, help } = await noFabric(data);
  const none = help === '' || parts.some(isUp) ? [said] : [said, `  ${help}`];
  output.result(document, () => [
    ...(running === undefined ? none : [`the fabric of this machine ${state} (process ${running.pid})`]),
    ...(running === undefined || about === undefined
      ? []
      : [`nats-server: ${about.nats}; PostgreSQL: ${about.postgres}`]),
    ...(running === undefined || about?.web === undefined ? [] : [`invite links: ${about.web}`]),
    ...(single_tenant ? ['single tenant: the broker keeps no orgs apart'] : []),
    ...(parts.length === 0 ? [] : partTable(parts)),
    ...parts.flatMap(({ notes }) => notes),
  ]);
  if (!healthy) process.exitCode = ERROR_TABLE.unavailable.exit;
}

const isUp = (part: PartStatus) => part.status === 'serving' || part.status === 'active';

const partTable = (parts: readonly PartStatus[]) =>
  table(
    ['PART', 'STATUS', 'ADDRESS', ''],
    parts.map((p) => [`${p.kind} ${p.name}`, p.status, p.address, p.detail]),
  );

async function serviceStatus(context: CommandContext): Promise<PartStatus[]> {
  const known = await context.context().catch(() => undefined);
  const endpoints = Object.entries(known?.endpoints ?? {});
  return Promise.all(
    endpoints.map(async ([name, address]) => {
      const health = await checkHealth({ address, deadlineMs: HEALTH_MS }).then(
        (serving) => (serving ? 'serving' : 'not serving'),
        () => 'unreachable',
      );
      const notes = name === 'delivery' && health === 'serving' ? await behind(context) : [];
      return { name, kind: 'service', status: health, address, detail: '', notes } as const;
    }),
  );
}

/** Fewer rows than this wait at any moment. */
const BEHIND_ROWS = 5000;
const NAMES: Readonly<Record<string, string>> = {
  'delivery-history': 'messages',
  'delivery-receipts': 'receipts',
  'delivery-dead': 'dead letters',
};

/** How far history is behind, where it is; nothing from a delivery that does not tell. */
async function behind(context: CommandContext): Promise<readonly string[]> {
  try {
    const hub = await context.hub();
    const { consumers } = await hub.delivery.getProgress({}, { deadlineMs: HEALTH_MS });
    return consumers
      .filter(({ waiting, stalled }) => stalled || waiting >= BEHIND_ROWS)
      .map(({ consumer, waiting, perSecond, secondsLeft, stalled }) => {
        const left = secondsLeft === undefined ? 'growing' : `${secondsLeft} s to go`;
        const pace = stalled ? 'PostgreSQL is away' : `${Math.round(perSecond)} a second, ${left}`;
        return `history is behind: ${waiting} ${NAMES[consumer] ?? consumer} wait in the streams (${pace})`;
      });
  } catch {
    return [];
  }
}

async function nodeStatus(dataFolder: string): Promise<PartStatus[]> {
  const names = await shownNodeNames(dataFolder);
  const found = await Promise.all(names.map((name) => localStatus(dataFolder, name)));
  return found.map((each) => ({
    name: each.name,
    kind: 'node',
    status: each.state,
    address: each.address,
    detail: statusDetail(each),
    notes: statusNotes(each),
  }));
}
