/** up | down | status: the fabric of this machine. */

import { join } from 'node:path';
import { checkHealth } from '@fleetwire/rpc';
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { ownEnvironment } from '../config.ts';
import { runDemo } from '../demo/demo.ts';
import { detach, endProcess, untilSignal } from '../fabric/background.ts';
import { type EmbeddedFabric, startEmbeddedFabric } from '../fabric/embedded-fabric.ts';
import { fabricProcess, isFabricReady } from '../fabric/fabric-record.ts';
import { stopNode } from '../fabric/node-process.ts';
import { connectNode, HUB_NODE, listLocalNodes } from '../local-nodes.ts';
import { table } from '../output.ts';
import type { Action } from '../program.ts';

export function addFabricCommands(program: Command, action: Action): void {
  program
    .command('up')
    .description('start the fabric on this machine; again on the same folder it goes on where it was')
    .option('--detach', 'go on in the background')
    .option('--demo', 'start two nodes with an agent each too, and let them talk')
    .action(action(up));
  program
    .command('down')
    .description('end the fabric and the nodes of this machine; what they hold stays on disk')
    .action(action(down));
  program.command('status').description('what runs, and whether it is well').action(action(status));
}

const HEALTH_MS = 2000;

async function up(context: CommandContext, options: { detach?: boolean; demo?: boolean }): Promise<void> {
  const { output, config } = context;
  const running = fabricProcess(config.folders.data);
  if (running !== undefined) {
    if (options.demo === true) return runDemo(context);
    const { pid } = running;
    return output.result(
      { started: false, pid, context: context.contextName },
      () => `the fabric runs already (process ${pid})`,
    );
  }
  if (options.detach === true) return upDetached(context, options.demo === true);
  const fabric = await startEmbeddedFabric(config, context.contextName, (line) => output.progress(line));
  announce(context, fabric);
  let demo: Promise<void> | undefined;
  if (options.demo === true)
    demo = runDemo(context).catch(async (error) => {
      await fabric.stop();
      throw error;
    });
  await Promise.all([demo, untilSignal(fabric.stop, () => output.progress('ending'))]);
}

async function upDetached(context: CommandContext, demo: boolean): Promise<void> {
  const { output, config } = context;
  output.progress('starting the fabric');
  const pid = await detach({
    args: ['up', '--context', context.contextName],
    logFile: join(config.folders.state, 'up.log'),
    env: ownEnvironment(config),
    ready: () => isFabricReady(config.folders.data),
    timeoutMs: config.up.ready_ms,
  });
  if (demo) return runDemo(context);
  output.result(
    { started: true, pid, context: context.contextName },
    () => `the fabric runs (process ${pid})`,
  );
}

function announce(context: CommandContext, fabric: EmbeddedFabric): void {
  const { servers, services } = fabric;
  const document = {
    started: true,
    pid: process.pid,
    context: context.contextName,
    nats: servers.about.nats,
    postgres: servers.about.postgres,
    services: services.map((s) => ({ name: s.name, address: s.address })),
  };
  context.output.result(document, () => [
    `the fabric runs: nats-server (${servers.about.nats}), PostgreSQL (${servers.about.postgres})`,
    ...services.map((s) => `  ${s.name.padEnd(9)} ${s.address}`),
    'in another terminal:',
    '  npx fleetwire node start laptop --detach',
    '  npx fleetwire agent run alice --node laptop -- YOUR-AGENT',
    '  npx fleetwire send alice "hello" --wait 10',
    'end it with Ctrl-C, or: npx fleetwire down',
  ]);
}

async function down(context: CommandContext): Promise<void> {
  const { output, config } = context;
  const stopped: string[] = [];
  for (const node of await listLocalNodes(config.folders.data)) {
    if (node.name === HUB_NODE || !(await stopNode(context, node.name))) continue;
    stopped.push(node.name);
    output.progress(`node ${node.name} has ended`);
  }
  const running = fabricProcess(config.folders.data);
  if (running !== undefined) {
    await endProcess(running, 'the fabric');
    stopped.push('fabric');
  }
  output.result({ stopped }, () => (stopped.length === 0 ? 'nothing was running' : 'the fabric has ended'));
}

interface PartStatus {
  readonly name: string;
  readonly kind: 'service' | 'node';
  readonly status: string;
  readonly address: string;
  readonly detail: string;
}

async function status(context: CommandContext): Promise<void> {
  const { output, config } = context;
  const running = fabricProcess(config.folders.data);
  const parts = [...(await serviceStatus(context)), ...(await nodeStatus(context))];
  const healthy =
    parts.length > 0 && parts.every((part) => part.status === 'serving' || part.status === 'active');
  const document = {
    running: running !== undefined,
    pid: running?.pid ?? null,
    healthy,
    single_tenant: config.nats.single_tenant,
    parts,
  };
  output.result(document, () => [
    running === undefined
      ? 'no fabric runs on this machine'
      : `the fabric of this machine runs (process ${running.pid})`,
    ...(config.nats.single_tenant ? ['single tenant: the broker keeps no orgs apart'] : []),
    ...table(
      ['PART', 'STATUS', 'ADDRESS', ''],
      parts.map((p) => [`${p.kind} ${p.name}`, p.status, p.address, p.detail]),
    ),
  ]);
  if (!healthy) process.exitCode = 69;
}

async function serviceStatus(context: CommandContext): Promise<PartStatus[]> {
  const known = await context.context().catch(() => undefined);
  const endpoints = Object.entries(known?.endpoints ?? {});
  return Promise.all(
    endpoints.map(async ([name, address]) => {
      const health = await checkHealth({ address, deadlineMs: HEALTH_MS }).then(
        (serving) => (serving ? 'serving' : 'not serving'),
        () => 'unreachable',
      );
      return { name, kind: 'service', status: health, address, detail: '' } as const;
    }),
  );
}

async function nodeStatus(context: CommandContext): Promise<PartStatus[]> {
  const nodes = await listLocalNodes(context.config.folders.data);
  return Promise.all(
    nodes.map(async (node) => {
      const client = connectNode(node);
      try {
        const s = await client.nodeStatus({});
        const detail = `${s.agents} agents, ${s.outboxDepth} to send, ${s.inboxDepth} to deliver`;
        return { name: node.name, kind: 'node', status: s.hub, address: node.address, detail } as const;
      } catch {
        return {
          name: node.name,
          kind: 'node',
          status: 'stopped',
          address: node.address,
          detail: '',
        } as const;
      } finally {
        client.close();
      }
    }),
  );
}
