/** up | down: the fabric of this machine. */

import { join } from 'node:path';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { ownEnvironment } from '../config.ts';
import { detach, endProcess, untilReady } from '../fabric/background.ts';
import type { EmbeddedFabric } from '../fabric/embedded-fabric.ts';
import { fabricProcess, isFabricReady } from '../fabric/fabric-record.ts';
import { stopNode } from '../fabric/node-process.ts';
import { catchSignals } from '../fabric/signals.ts';
import { tellStarter } from '../fabric/starter.ts';
import { HUB_NODE, nodeNames } from '../local-nodes.ts';

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
}

interface UpOptions {
  readonly detach?: boolean;
  readonly demo?: boolean;
}

async function up(context: CommandContext, options: UpOptions): Promise<void> {
  const { output, config } = context;
  const { data } = config.folders;
  const running = fabricProcess(data);
  if (running !== undefined && (await untilReady(running, () => isFabricReady(data), config.up.ready_ms))) {
    if (options.demo === true) return demo(context);
    const { pid } = running;
    return output.result(
      { started: false, pid, context: context.contextName },
      () => `the fabric runs already (process ${pid}); end it with: fleetwire down`,
    );
  }
  return options.detach === true ? upDetached(context, options) : upHere(context, options);
}

async function demo(context: CommandContext): Promise<void> {
  const { runDemo } = await import('../demo/demo.ts');
  await runDemo(context);
}

async function upDetached(context: CommandContext, options: UpOptions): Promise<void> {
  const { output, config } = context;
  output.progress('starting the fabric');
  const pid = await detach({
    args: ['up', '--context', context.contextName],
    logFile: join(config.folders.state, 'up.log'),
    env: ownEnvironment(config),
    timeoutMs: config.up.ready_ms,
  });
  if (options.demo === true) return demo(context);
  output.result(
    { started: true, pid, context: context.contextName },
    () => `the fabric runs (process ${pid})`,
  );
}

/** In the foreground, until a signal. */
async function upHere(context: CommandContext, options: UpOptions): Promise<void> {
  const { output, config } = context;
  const leaving = catchSignals(() => output.progress('ending; once more to end at once'));
  // The services and their libraries are loaded only by who runs them.
  const { startEmbeddedFabric } = await import('../fabric/embedded-fabric.ts');
  const report = (line: string) => output.progress(line);
  const fabric = await startEmbeddedFabric(config, context.contextName, report, leaving.signal);
  try {
    // With a demo its result is the one document.
    if (options.demo !== true || !output.json) announce(context, fabric);
    await tellStarter({ ready: true });
    if (options.demo === true) await Promise.race([demo(context), leaving.asked()]);
    await leaving.asked();
  } finally {
    await fabric.stop();
  }
  output.progress('the fabric has ended');
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

/** Goes on when one does not end, and says so at the end. */
async function down(context: CommandContext): Promise<void> {
  const { output, config } = context;
  const { data } = config.folders;
  const stopped: string[] = [];
  let fault: unknown;
  const keepFault = (error: unknown) => {
    fault ??= error;
    return false;
  };
  for (const name of await nodeNames(data)) {
    if (name === HUB_NODE || !(await stopNode(context, name).catch(keepFault))) continue;
    stopped.push(name);
    output.progress(`node ${name} has ended`);
  }
  const running = fabricProcess(data);
  if (running !== undefined && (await endProcess(running, 'the fabric').then(() => true, keepFault)))
    stopped.push('fabric');
  if (fault !== undefined) throw fault;
  output.result({ stopped }, () =>
    stopped.length === 0 ? 'nothing was running' : `ended: ${stopped.join(', ')}`,
  );
}
