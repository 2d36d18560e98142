/** A hub and a node in this process that answer what a test says; the command line that asks. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { lockFolder } from '@fleetwire/embedded';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { RouterServiceDefinition } from '@fleetwire/gen/router';
import { FleetwireError } from '@fleetwire/kernel';
import { bindService, type RpcDefinition, startRpcServer } from '@fleetwire/rpc';
import { tempFolder } from '@fleetwire/testkit';
import { actionWith } from '../src/action.ts';
import { CommandContext } from '../src/command-context.ts';
import { loadCliConfig } from '../src/config.ts';
import { saveContext } from '../src/context.ts';
import { nodeFolder } from '../src/local-nodes.ts';
import { createOutput } from '../src/output.ts';
import { runProgram } from '../src/program.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

// biome-ignore lint/suspicious/noExplicitAny: a test answers what it likes
type Answers = Record<string, (request: any) => object>;

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** The one document. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** A command that goes on. */
export interface Running {
  /** What it has written so far. */
  readonly out: string;
  readonly err: string;
  interrupt(): void;
  readonly ended: Promise<Ended>;
}

export interface StandIn extends AsyncDisposable {
  /** By method; what is not there is refused with NO_ANSWER. */
  readonly answers: {
    registry: Answers;
    org: Answers;
    router: Answers;
    delivery: Answers;
    node: Answers;
  };
  /** Requests in the order in which they came, without the exchange of keys. */
  readonly asked: { readonly method: string; readonly request: unknown }[];
  /** Where the hub answers, host:port. */
  readonly hub: string;
  /** What is true for commands besides. */
  readonly env: Record<string, string>;
  /** In this process. */
  run(...args: readonly string[]): Promise<Ended>;
  /** As a process of its own. */
  go(...args: readonly string[]): Running;
  /** Nobody answers any more at the hub's address. */
  endHub(): Promise<void>;
}

const ORG = 'o_0000000000000001';

export async function standIn(): Promise<StandIn> {
  await using building = new AsyncDisposableStack();
  const home = building.use(tempFolder('stand-in')).path;
  const answers: StandIn['answers'] = { registry: {}, org: {}, router: {}, delivery: {}, node: {} };
  const asked: { method: string; request: unknown }[] = [];
  const serve = (definition: RpcDefinition, part: keyof typeof answers) => {
    const handlers = Object.keys(definition.methods).map((method) => {
      const answer = async (request: unknown) => {
        if (method === 'exchangeKey') return { token: 'token', org: ORG, expiresAtMs: Date.now() + 900_000 };
        asked.push({ method, request });
        const given = answers[part][method];
        if (given === undefined)
          throw new FleetwireError('unimplemented', 'NO_ANSWER', `no answer to ${method}`);
        return given(request);
      };
      return [method, answer] as const;
    });
    return bindService(definition, Object.fromEntries(handlers) as never, { auth: 'none' });
  };
  const start = (...services: ReturnType<typeof serve>[]) =>
    startRpcServer({
      listen: '127.0.0.1:0',
      services,
      log: { debug: () => undefined, error: () => undefined },
    });
  const hub = await start(
    serve(OrgServiceDefinition, 'org'),
    serve(RegistryServiceDefinition, 'registry'),
    serve(RouterServiceDefinition, 'router'),
    serve(DeliveryServiceDefinition, 'delivery'),
  );
  building.defer(() => hub.close());
  const node = await start(serve(NodeServiceDefinition, 'node'));
  building.defer(() => node.close());

  const at = hub.address;
  const endpoints = { org: at, registry: at, router: at, delivery: at };
  const api_key_file = join(home, 'key');
  writeFileSync(api_key_file, 'fwk_x\n');
  await saveContext(join(home, 'config'), { version: 1, name: 'local', org: ORG, endpoints, api_key_file });
  const folder = nodeFolder(join(home, 'data'), 'laptop');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = await lockFolder(folder);
  building.defer(() => lock.release());
  writeFileSync(join(folder, 'node.json'), JSON.stringify({ address: node.address, pid: process.pid }));
  writeFileSync(join(folder, 'admin-token'), 'fwn_x\n');
  writeFileSync(join(folder, 'identity.json'), JSON.stringify({ org: ORG }));

  const env: Record<string, string> = { FLEETWIRE_HOME: home, FLEETWIRE_WATCH_INTERVAL_MS: '100' };
  const children = new Set<ChildProcess>();
  building.defer(() => {
    for (const child of children) child.kill('SIGKILL');
  });
  const go = (...args: readonly string[]): Running => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: childEnvironment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(child);
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said.out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said.err += text;
    });
    const ended = new Promise<Ended>((resolve) => {
      child.once('close', (code) => {
        children.delete(child);
        resolve({ code, ...said, json: documentOf(said.out) });
      });
    });
    return {
      get out() {
        return said.out;
      },
      get err() {
        return said.err;
      },
      interrupt: () => child.kill('SIGINT'),
      ended,
    };
  };
  const run = async (...args: readonly string[]): Promise<Ended> => {
    const said = { out: '', err: '' };
    const streams = {
      out: (text: string) => {
        said.out += text;
      },
      err: (text: string) => {
        said.err += text;
      },
    };
    const config = loadCliConfig();
    const folders = { data: join(home, 'data'), config: join(home, 'config'), state: join(home, 'state') };
    const action = actionWith(
      (options) =>
        new CommandContext(
          options,
          { ...config, folders, watch: { interval_ms: 10 } },
          createOutput(options.json === true, streams),
        ),
    );
    // Whoever started this process waits for no word of a command in it.
    const code = await runProgram(args, action, streams, async () => undefined);
    return { code, ...said, json: documentOf(said.out) };
  };
  const closing = building.move();
  return {
    answers,
    asked,
    hub: at,
    env,
    go,
    run,
    endHub: () => hub.close(),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  };
}

/** Empty where it is none. */
function documentOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
