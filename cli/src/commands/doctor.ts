/** doctor: looks at this machine and its fabric, and says what to do about what is wrong. */

import { stat } from 'node:fs/promises';
import { ERROR_TABLE } from '@fleetwire/contract';
import { asFleetwireError } from '@fleetwire/kernel';
import { checkHealth } from '@fleetwire/rpc';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import type { Context } from '../context.ts';
import { fabricProcess, isFabricReady, readFabric } from '../fabric/fabric-record.ts';
import {
  connectNode,
  HUB_NODE,
  nodeFolder,
  nodeNames,
  nodeProcess,
  readNode,
  runningNode,
} from '../local-nodes.ts';
import { worksWithHubElsewhere } from '../node-machine.ts';
import { counted } from '../output.ts';
import { machineFindings } from './doctor-machine.ts';
import { type Finding, fail, ok, warn } from './finding.ts';

const WAIT_MS = 3000;

export function addDoctorCommand(program: Command, action: Action): void {
  program.command('doctor').description('check this machine and its fabric').action(action(doctor));
}

async function doctor(context: CommandContext): Promise<void> {
  const findings = [
    ...(await machineFindings(context.config, await worksWithHubElsewhere(context.config.folders.data))),
    ...(await fabric(context)),
    ...(await nodes(context.config.folders.data)),
  ];
  const healthy = findings.every((finding) => finding.state !== 'fail');
  context.output.result({ healthy, findings }, () =>
    findings.flatMap((f) => [
      `${f.state.padEnd(4)}  ${f.check.padEnd(14)} ${f.detail}`,
      ...(f.help === '' ? [] : [`      ${' '.repeat(14)} ${f.help}`]),
    ]),
  );
  if (!healthy) process.exitCode = ERROR_TABLE.unavailable.exit;
}

async function fabric(context: CommandContext): Promise<Finding[]> {
  const { data } = context.config.folders;
  const findings: Finding[] = [];
  try {
    const record = await readFabric(data);
    if (record?.single_tenant === true)
      findings.push(
        warn(
          'tenants',
          'single tenant: the broker keeps no orgs apart',
          'For more than one org use a server with accounts; see: fleetwire bootstrap --help',
        ),
      );
    else if (record?.one_org_nats !== undefined)
      findings.push(
        ok(
          'tenants',
          `one org only: nats-server ${record.one_org_nats} does not keep acknowledgements apart (2.15.1 does)`,
        ),
      );
    const known = await context.context();
    const isOwn = record?.ports.org === Number(known.endpoints.org.split(':').at(-1));
    findings.push(
      isOwn ? await fabricFinding(data) : ok('fabric', `elsewhere, by the context ${known.name}`),
    );
    findings.push(...(await services(known, isOwn)), await keyFile(known.api_key_file));
  } catch (error) {
    const { reason, message, help = '' } = asFleetwireError(await context.explain(error));
    findings.push(
      reason === 'CONTEXT_MISSING' ? warn('fabric', message, help) : fail('fabric', message, help),
    );
  }
  return findings;
}

async function fabricFinding(data: string): Promise<Finding> {
  const running = fabricProcess(data);
  if (running === undefined)
    return warn('fabric', 'does not run on this machine', 'Start it with: fleetwire up');
  if (await isFabricReady(data)) return ok('fabric', `runs here (process ${running.pid})`);
  return warn('fabric', `is starting (process ${running.pid})`, 'Look again in a moment.');
}

function services(known: Context, isOwn: boolean): Promise<Finding[]> {
  return Promise.all(
    Object.entries(known.endpoints).map(async ([name, address]) => {
      const healthy = await checkHealth({ address, deadlineMs: WAIT_MS }).catch(() => undefined);
      if (healthy === true) return ok(name, `serving on ${address}`);
      const help = isOwn
        ? 'Start it with: fleetwire up'
        : 'See that its fabric runs, and that this is its address.';
      if (healthy === undefined) return fail(name, `no answer on ${address}`, help);
      return fail(name, `not ready on ${address}`, 'Its log says what it waits for.');
    }),
  );
}

async function keyFile(path: string): Promise<Finding> {
  try {
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0)
      return warn('API key', `${path} can be read by others`, `Run: chmod 600 ${path}`);
    return ok('API key', path);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'is missing' : 'cannot be read';
    return fail('API key', `${path} ${why}`, 'Set FLEETWIRE_API_KEY to a key of this org.');
  }
}

async function nodes(data: string): Promise<Finding[]> {
  const names = await nodeNames(data);
  const found = await Promise.all(names.map((name) => oneNode(name, nodeFolder(data, name))));
  return found.filter((finding) => finding !== undefined);
}

/** Undefined for one that was stopped on purpose. */
async function oneNode(name: string, folder: string): Promise<Finding | undefined> {
  const check = `node ${name}`;
  if (nodeProcess(folder) === undefined) {
    if ((await readNode(folder)) === undefined) return undefined;
    const again = name === HUB_NODE ? 'fleetwire up' : `fleetwire node start ${name} --detach`;
    return warn(check, 'has ended without being stopped', `Start it with: ${again}`);
  }
  const node = await runningNode(folder);
  if (node === undefined) return warn(check, 'is starting', 'Look again in a moment.');
  const client = connectNode(node);
  try {
    const status = await client.nodeStatus({}, { deadlineMs: WAIT_MS });
    if (status.hub === 'active') return ok(check, `${counted(status.agents, 'agent')}, linked to the hub`);
    const why = status.hubError || status.hub;
    return warn(check, `not linked to the hub: ${why}`, 'It keeps trying; mail waits on its disk.');
  } catch (error) {
    return fail(check, asFleetwireError(error).message, `Its log is ${folder}/node.log`);
  } finally {
    client.close();
  }
}
