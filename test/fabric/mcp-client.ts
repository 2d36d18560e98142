/** Clients of the MCP server: the official inspector's command line, and raw lines for what that cannot do. */

import { strict as assert } from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { childEnvironment } from '@fleetwire/config';
import { eventually } from '@fleetwire/testkit';
import type { Home } from './command-line.ts';

const CLI = fileURLToPath(new URL('../../cli/src/main.ts', import.meta.url));
const INSPECTOR = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/inspector-cli/build/index.js', import.meta.url),
);
/** The inspector looks for a manifest above the folder that it runs in. */
const CWD = fileURLToPath(new URL('../../cli/src/', import.meta.url));
const START_MS = 30_000;

// biome-ignore lint/suspicious/noExplicitAny: documents differ by method and tool, and the tests look into them
type Document = any;

export interface ToolResult {
  readonly content: readonly { readonly type: string; readonly text: string }[];
  readonly structuredContent: Document;
  readonly isError?: boolean;
}

/** Where an agent's tools are: the arguments of `fleetwire`, or a URL with headers. */
export type Target =
  | { readonly args: readonly string[]; readonly env?: Readonly<Record<string, string>> }
  | { readonly url: string; readonly headers: Readonly<Record<string, string>> };

/** Runs the inspector once: it connects, makes one request, prints the result and closes. */
export async function inspect(home: Home, target: Target, ...options: string[]): Promise<Document> {
  const server =
    'args' in target ? [process.execPath, ...options, '--', CLI, ...target.args] : [target.url, ...options];
  const headers =
    'args' in target
      ? []
      : [
          '--transport',
          'http',
          ...Object.entries(target.headers).flatMap(([k, v]) => ['--header', `${k}: ${v}`]),
        ];
  const env = childEnvironment({ ...home.env, ...('args' in target ? target.env : {}) });
  const child = spawn(process.execPath, [INSPECTOR, ...server, ...headers], {
    cwd: CWD,
    env,
    timeout: 90_000,
  });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text));
  const code = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(code, 0, `the inspector failed: ${said.err}${said.out}`);
  return JSON.parse(said.out);
}

/** Calls a tool by the inspector. */
export const inspectTool = (
  home: Home,
  target: Target,
  name: string,
  args: Readonly<Record<string, unknown>> = {},
): Promise<ToolResult> => {
  const pairs = Object.entries(args).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  const given = pairs.length === 0 ? [] : ['--tool-arg', ...pairs];
  return inspect(home, target, '--method', 'tools/call', '--tool-name', name, ...given);
};

export interface RawClient extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves with the result, rejects with the error of the protocol. */
  request(method: string, params: object, id?: number): Promise<Document>;
  tool(name: string, args?: object, more?: object): Promise<ToolResult>;
  notify(method: string, params: object): void;
  write(text: string): void;
  /** Notifications that came in. */
  readonly heard: Document[];
  readonly ended: Promise<number | null>;
  /** Id of the last request. */
  lastId(): number;
  err(): string;
}

/** What a client of 2026-07-28 sends with each request, in place of being initialized. */
export const MODERN = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** A client of one process that stays, initialized as of 2025-11-25 unless that is left to the test. */
export async function openRaw(
  home: Home,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  initialized = true,
): Promise<RawClient> {
  const child = spawn(process.execPath, [CLI, 'mcp', ...args], {
    env: childEnvironment({ ...home.env, ...env }),
  });
  child.stdin.on('error', () => undefined);
  const open = new Map<number, { resolve(value: Document): void; reject(error: unknown): void }>();
  const heard: Document[] = [];
  let err = '';
  let rest = '';
  let last = 0;
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      // Whatever is no message of the protocol fails the test here.
      const message = JSON.parse(line);
      if (message.id === undefined) heard.push(message);
      else if (message.error !== undefined) open.get(message.id)?.reject(message.error);
      else open.get(message.id)?.resolve(message.result);
    }
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const write = (text: string) => void child.stdin.write(text);
  const notify = (method: string, params: object) =>
    write(`${JSON.stringify({ jsonrpc: '2.0', method, params })}\n`);
  const request = (method: string, params: object, id = ++last) =>
    new Promise<Document>((resolve, reject) => {
      open.set(id, { resolve, reject });
      write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    });
  const client: RawClient = {
    child,
    request,
    tool: (name, given = {}, more = {}) => request('tools/call', { name, arguments: given, ...more }),
    notify,
    write,
    heard,
    ended,
    lastId: () => last,
    err: () => err,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
      await ended;
      clearTimeout(late);
    },
  };
  if (!initialized) return client;
  const clientInfo = { name: 'test', version: '1' };
  await request('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo });
  notify('notifications/initialized', {});
  return client;
}

/** Calls the tool until it works: what it answers meanwhile must be an error that passes. */
export async function untilWorks(client: RawClient, name: string, args: object = {}): Promise<ToolResult> {
  let result: ToolResult | undefined;
  await eventually(
    async () => {
      result = await client.tool(name, args);
      if (result.isError === true) assert.equal(result.structuredContent.error.kind, 'unavailable');
      return result.isError !== true;
    },
    { timeoutMs: START_MS, everyMs: 200 },
  );
  return result!;
}
