/** up | down: the fabric of this machine. */

import { join } from 'node:path';
import { asFleetwireError, FleetwireError } from '@fleetwire/kernel';
import { type Command, Option } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { ownEnvironment } from '../config.ts';
import { detach, endProcess, untilReady } from '../fabric/background.ts';
import type { EmbeddedFabric } from '../fabric/embedded-fabric.ts';
import { endNodes, endTerminals, terminalSockets } from '../fabric/end-nodes.ts';
import { fabricProcess, isFabricReady } from '../fabric/fabric-record.ts';
import { catchSignals } from '../fabric/signals.ts';
import { tellStarter } from '../fabric/starter.ts';

export function addFabricCommands(program: Command, action: Action): void {
  program
    .command('up')
    .description('start the fabric on this machine; again on the same folder it goes on where it was')
    .option('--detach', 'go on in the background')
    .option('--demo', 'start two nodes with an agent each too, and let them talk')
    .addOption(new Option('--no-hints').hideHelp())
    .action(action(up));
  program
    .command('down')
    .description('end the fabric and the nodes of this machine; what they hold stays on disk')
    .option('--programs', 'end the programs of agents in terminals too; they start again with their node')
    .action(action(down));
}

interface UpOptions {
  readonly detach?: boolean;
  readonly demo?: boolean;
  readonly hints: boolean;
}

/** Throws invalid_argument INVALID_CONFIG: nodes and people are told this address, so it has to be one to connect to. */
export function checkHost(host: string): void {
  if (!/^\[?(::ffff:)?[0:.*]+\]?$/i.test(host)) return;
  throw new FleetwireError(
    'invalid_argument',
    'INVALID_CONFIG',
    `FLEETWIRE_UP_HOST "${host}" stands for all addresses of this machine; nodes are told it to connect to`,
    {
      help: 'Set it to one address of this machine that the others reach, such as 192.168.1.10.',
      details: { key: 'FLEETWIRE_UP_HOST' },
    },
  );
}

async function up(given: CommandContext, options: UpOptions): Promise<void> {
  const context = given.ofFabric();
  const { output, config } = context;
  checkHost(config.up.host);
  const { data } = config.folders;
  const running = fabricProcess(data);
  if (running !== undefined && (await untilReady(running, () => isFabricReady(data), config.up.ready_ms))) {
    if (options.demo === true) return demo(context, options);
    const { pid } = running;
    return output.result(
      { started: false, pid, context: context.contextName },
      () => `the fabric runs already (process ${pid}); end it with: fleetwire down`,
    );
  }
  return options.detach === true ? upDetached(context, options) : upHere(context, options);
}

async function demo(context: CommandContext, options: UpOptions): Promise<void> {
  const { runDemo } = await import('../demo/demo.ts');
  await runDemo(context, options.hints);
}

/** A demo that fails is told and ends nothing: the fabric is there to look at. */
async function demoWhileServing(context: CommandContext, options: UpOptions): Promise<void> {
  try {
    await demo(context, options);
  } catch (thrown) {
    if (context.output.json) throw thrown;
    const error = asFleetwireError(thrown);
    context.output.progress(`the demo failed: ${error.message} (${error.reason}); the fabric goes on`);
  }
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
  if (options.demo === true) return demo(context, options);
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
    if (options.demo !== true || !output.json) announce(context, fabric, options);
    await tellStarter({ ready: true });
    if (options.demo === true) await Promise.race([demoWhileServing(context, options), leaving.asked()]);
    await leaving.asked();
  } finally {
    if (options.demo === true) {
      const sockets = await terminalSockets(config.folders.data);
      await endNodes(context);
      await endTerminals(sockets);
    }
    await fabric.stop();
  }
  output.progress('the fabric has ended');
}

const FIRST_STEPS = [
  'in another terminal:',
  '  npx fleetwire node start laptop --detach',
  '  npx fleetwire agent run alice --node laptop -- YOUR-AGENT',
  '  npx fleetwire send alice "hello" --wait 10',
];

function announce(context: CommandContext, fabric: EmbeddedFabric, options: UpOptions): void {
  const { servers, services } = fabric;
  const document = {
    started: true,
    pid: process.pid,
    context: context.contextName,
    nats: servers.about.nats,
    postgres: servers.about.postgres,
    web: servers.about.web,
    services: services.map((s) => ({ name: s.name, address: s.address })),
  };
  context.output.result(document, () => [
    `the fabric runs: nats-server (${servers.about.nats}), PostgreSQL (${servers.about.postgres})`,
    ...services.map((s) => `  ${s.name.padEnd(9)} ${s.address}`),
    `invite links: ${servers.about.web}`,
    ...(options.demo === true ? [] : FIRST_STEPS),
    'end it with Ctrl-C, or: npx fleetwire down',
  ]);
}

/** Goes on when one does not end, and says so at the end. */
async function down(context: CommandContext, options: { programs?: boolean }): Promise<void> {
  const { output, config } = context;
  const { data } = config.folders;
  const sockets = await terminalSockets(data);
  const { stopped, fault } = await endNodes(context);
  const running = fabricProcess(data);
  let failed = fault;
  if (running !== undefined)
    await endProcess(running, 'the fabric').then(
      () => stopped.push('fabric'),
      (error: unknown) => {
        failed ??= error;
      },
    );
  if (options.programs === true && sockets.length > 0) {
    await endTerminals(sockets);
    stopped.push('programs in tmux');
  }
  if (failed !== undefined) throw failed;
  const goOn = options.programs !== true && sockets.length > 0;
  const left = goOn ? ['programs in tmux go on; `down --programs` ends them too'] : [];
  output.result({ stopped }, () =>
    stopped.length === 0 ? 'nothing was running' : [`ended: ${stopped.join(', ')}`, ...left],
  );
}
