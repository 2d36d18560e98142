// Goal: whatever people or machines get wrong ends in a typed error that says what to do, with its exit code and
// without losing anything.
// Method: the command line as processes, with --json; first without a fabric, then against one that runs.

import { strict as assert } from 'node:assert';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import { type Home, openHome, processesIn, type Refusal, type RunOptions } from './command-line.ts';

interface Case extends RunOptions {
  readonly what: string;
  readonly args: readonly string[];
  readonly reason: string;
  readonly code: number;
  /** Must be in what it says to do. */
  readonly help: RegExp;
}

const TOO_LARGE = Buffer.alloc(1024 * 1024 + 1, 'x');

function put(home: Home, path: string, text: string): void {
  const file = join(home.path, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

async function check(home: Home, o: Case, started = home.refused(o.args, o)): Promise<void> {
  const error = await started;
  assert.deepEqual([error.reason, error.code], [o.reason, o.code], error.message);
  assert.match(error.help, o.help);
  assert.deepEqual(Object.keys(error), [
    'kind',
    'reason',
    'message',
    'help',
    'details',
    'retry_after_ms',
    'violations',
    'code',
  ]);
}

describe('bad input without a fabric', () => {
  let home: Home;
  before(() => {
    home = openHome();
    // Two at a time, since each is a process that starts.
    const lanes: Promise<unknown>[] = [Promise.resolve(), Promise.resolve()];
    cases.forEach((each, i) => {
      const result = lanes[i % 2]!.then(() => home.refused(each.args, each));
      lanes[i % 2] = result.catch(() => undefined);
      results.set(each, result);
    });
  });
  after(() => home[Symbol.asyncDispose]());

  const cases: readonly Case[] = [
    { what: 'no command', args: [], reason: 'COMMAND_MISSING', code: 64, help: /up, down, status/ },
    {
      what: 'half a command',
      args: ['agent'],
      reason: 'COMMAND_MISSING',
      code: 64,
      help: /run, stop, token, list/,
    },
    {
      what: 'a mistyped command',
      args: ['sned'],
      reason: 'UNKNOWN_COMMAND',
      code: 64,
      help: /fleetwire send/,
    },
    {
      what: 'a grouped one',
      args: ['run'],
      reason: 'UNKNOWN_COMMAND',
      code: 64,
      help: /fleetwire agent run/,
    },
    {
      what: 'no recipient',
      args: ['send'],
      reason: 'INVALID_USAGE',
      code: 64,
      help: /fleetwire send --help/,
    },
    {
      what: 'an unknown option',
      args: ['up', '--bogus'],
      reason: 'INVALID_USAGE',
      code: 64,
      help: /up --help/,
    },
    {
      what: 'an option value out of range',
      args: ['send', 'bob', 'hi', '--ttl', '7200'],
      reason: 'INVALID_OPTION',
      code: 64,
      help: /from 1 to 3600/,
    },
    {
      what: 'an option value that is none of the choices',
      args: ['agent', 'run', 'bob', '--adapter', 'telnet'],
      reason: 'INVALID_OPTION',
      code: 64,
      help: /tmux, stdio, mailbox/,
    },
    {
      what: 'a bad address',
      args: ['send', 'b@d@x', 'hi'],
      reason: 'INVALID_ADDRESS',
      code: 64,
      help: /alice@/,
    },
    {
      what: 'a bad name',
      args: ['agent', 'run', 'b o b'],
      reason: 'INVALID_NAME',
      code: 64,
      help: /letters/,
    },
    {
      what: 'what is no invite link',
      args: ['invite', 'accept', 'https://example.org/join', '--email', 'a@example.org'],
      reason: 'INVALID_LINK',
      code: 64,
      help: /\/invite\//,
    },
    {
      what: 'an invite of a host that nobody reaches',
      args: ['invite', 'accept', 'http://127.0.0.1:9/invite/fwi_x', '--email', 'a@example.org'],
      reason: 'INVITE_UNREACHABLE',
      code: 69,
      help: /reaches the host/,
    },
    {
      what: 'a deletion that is not confirmed',
      args: ['org', 'delete'],
      reason: 'INVALID_USAGE',
      code: 64,
      help: /fleetwire org delete --help/,
    },
    {
      what: 'an operator without a key',
      args: ['org', 'list'],
      reason: 'OPERATOR_KEY_MISSING',
      code: 78,
      help: /FLEETWIRE_KEYS_DIR/,
    },
    {
      what: 'a policy by file and by options',
      args: ['policy', 'create', '--file', 'x.json', '--rate', '5'],
      reason: 'INVALID_USAGE',
      code: 64,
      help: /other options/,
    },
    {
      what: 'a bad context',
      args: ['who', '--context', '../x'],
      reason: 'INVALID_NAME',
      code: 64,
      help: /letters/,
    },
    {
      what: 'a body above 1 MiB',
      args: ['send', 'bob'],
      input: TOO_LARGE,
      reason: 'BODY_TOO_LARGE',
      code: 64,
      help: /file/,
    },
    {
      what: 'an unknown key',
      args: ['status'],
      env: { FLEETWIRE_LOG_LEVL: 'info' },
      reason: 'UNKNOWN_CONFIG_KEY',
      code: 64,
      help: /FLEETWIRE_LOG_LEVEL/,
    },
    {
      what: 'a bad value of a key',
      args: ['status'],
      env: { FLEETWIRE_LOG_LEVEL: 'loud' },
      reason: 'INVALID_CONFIG',
      code: 64,
      help: /config\.md/,
    },
    { what: 'no fabric to ask', args: ['who'], reason: 'CONTEXT_MISSING', code: 78, help: /fleetwire up/ },
    {
      what: 'no fabric to send by',
      args: ['send', 'bob', 'hi'],
      reason: 'FABRIC_DOWN',
      code: 69,
      help: /up/,
    },
    { what: 'no node', args: ['agent', 'run', 'bob'], reason: 'FABRIC_DOWN', code: 69, help: /fleetwire up/ },
    {
      what: 'the name of the hub',
      args: ['node', 'start', 'hub'],
      reason: 'NODE_RESERVED',
      code: 64,
      help: /up/,
    },
    {
      what: 'no nats-server',
      args: ['up'],
      env: { FLEETWIRE_NATS_SERVER: '/nowhere/nats-server' },
      reason: 'NATS_SERVER_MISSING',
      code: 78,
      help: /Install it.*FLEETWIRE_NATS_SERVER/,
    },
  ];
  const results = new Map<Case, Promise<Refusal>>();
  for (const each of cases) it(`${each.what}: ${each.reason}`, () => check(home, each, results.get(each)));

  it('says the same to people: the error on stderr, nothing on stdout', async () => {
    const { code, out, err } = await home.run(['sned', 'bob', 'hi']);
    assert.deepEqual([code, out], [64, '']);
    assert.equal(
      err,
      'fleetwire: unknown command "sned" (UNKNOWN_COMMAND)\n  Did you mean: fleetwire send\n',
    );
  });

  it('gives help without complaint', async () => {
    for (const args of [['--help'], ['help', 'send'], ['agent', 'run', '--help'], ['--version']]) {
      const { code, out, err } = await home.run(args);
      assert.deepEqual([code, err], [0, ''], args.join(' '));
      assert.match(out, /\S/);
    }
  });
});

describe('a data folder that cannot be used', () => {
  const refusal = async (
    prepare: (home: Home) => void | Promise<void>,
    expected: Omit<Case, 'what' | 'args'>,
    args: readonly string[] = ['up'],
  ) => {
    await using home = openHome();
    await prepare(home);
    await check(home, { what: '', args, ...expected });
    assert.deepEqual(processesIn(home.path), []);
  };

  it('a context that is none', () =>
    refusal(
      (home) => put(home, 'config/contexts/local.json', '{"version":1}'),
      { reason: 'CONTEXT_UNREADABLE', code: 78, help: /fleetwire up/ },
      ['who'],
    ));
  it('a file where the folder should be', () =>
    refusal((home) => put(home, 'data', ''), { reason: 'FOLDER_NOT_WRITABLE', code: 78, help: /may write/ }));
  it('a folder of a later release', () =>
    refusal((home) => put(home, 'data/fabric/format.json', '{"format":99}'), {
      reason: 'FOLDER_FROM_NEWER_VERSION',
      code: 78,
      help: /that release/,
    }));
  it('a folder that another machine holds', () => {
    const holder = { pid: 1, started: 'x', host: 'elsewhere', since: new Date().toISOString() };
    return refusal((home) => put(home, 'data/fabric/lock.json', JSON.stringify(holder)), {
      reason: 'FOLDER_LOCKED',
      code: 78,
      help: /Stop that process/,
    });
  });
  it('a record of ports that is none', () =>
    refusal((home) => put(home, 'data/fabric/fabric.json', '{"ports":{"nats":0}}'), {
      reason: 'FABRIC_RECORD_UNREADABLE',
      code: 78,
      help: /remove it/,
    }));
  it('a recorded port that somebody else took, also told by --detach', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as { port: number };
    const names = ['nats', 'postgres', 'org', 'registry', 'router', 'delivery', 'hub'];
    const ports = Object.fromEntries(names.map((name, i) => [name, name === 'router' ? port : 19_000 + i]));
    const record = JSON.stringify({ ports });
    const expected = { reason: 'PORT_IN_USE', code: 78, help: /for router into .*fabric\.json/ };
    try {
      await refusal((home) => put(home, 'data/fabric/fabric.json', record), expected, ['up', '--detach']);
    } finally {
      taken.close();
    }
  });
});

describe('bad input with a fabric', () => {
  let home: Home;
  before(async () => {
    home = openHome({ env: { PATH: '/nowhere' } });
    await home.ok('up', '--detach');
    await home.ok('agent', 'run', 'alice');
    await home.ok('send', 'alice', 'before it all');
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') home.keep();
  });
  after(() => home[Symbol.asyncDispose]());

  const agentEnv = (token: string) => ({
    FLEETWIRE_NODE_ADDRESS: home.file('data', 'nodes', 'hub', 'node.json').address,
    FLEETWIRE_AGENT: 'alice',
    FLEETWIRE_AGENT_TOKEN: token,
  });

  it('an unknown recipient: the nearest name, and the message id in the same document', async () => {
    const { json, code } = await home.run(['send', 'alcie', 'hi', '--wait', '10', '--json']);
    assert.equal(code, 68);
    assert.equal(json.error.reason, 'UNKNOWN_AGENT');
    assert.match(json.error.message, /did you mean alice\?/);
    assert.match(json.error.help, new RegExp(`fleetwire trace ${json.id}`));
    assert.deepEqual([json.stage, json.final], ['dead', true]);
  });
  it('a message that nobody takes within the wait: not lost, and said so', async () => {
    const { json, code } = await home.run(['send', 'alice', 'second', '--wait', '1', '--json']);
    assert.deepEqual([code, json.error.reason, json.final], [75, 'NOT_SETTLED_YET', false]);
  });
  it('an unknown agent, message, sender or node', async () => {
    const of = (line: string, reason: string, code: number, help: RegExp): Case => {
      return { what: '', args: line.split(' '), reason, code, help };
    };
    const cases: Case[] = [
      of('who nobody', 'UNKNOWN_AGENT', 68, /^/),
      of('trace nope', 'INVALID_ID', 64, /26 characters/),
      of('trace 01j00000000000000000000000', 'MESSAGE_UNKNOWN', 68, /Check the id/),
      of('send x y --from alic', 'AGENT_NOT_LOCAL', 68, /alice/),
      of('inbox --node moon', 'NODE_MISSING', 68, /There is: hub/),
      of('agent run alice -- cat', 'AGENT_EXISTS', 73, /Stop it/),
      of('agent stop nobody', 'AGENT_NOT_LOCAL', 68, /agent list/),
    ];
    for (const each of cases) await check(home, each);
  });
  it('a wrong token of an agent, and acting for another one', async () => {
    const send = ['send', 'operator', 'hi'];
    const wrong = { reason: 'TOKEN_INVALID', code: 77, help: /^/ };
    await check(home, { what: '', args: send, env: agentEnv('fwa_wrong'), ...wrong });
    const other = { reason: 'NOT_THIS_AGENT', code: 77, help: /own name/ };
    await check(home, { what: '', args: [...send, '--from', 'bob'], env: agentEnv('fwa_x'), ...other });
  });
  it('a wrong admin token', async () => {
    const file = join(home.path, 'data', 'nodes', 'hub', 'admin-token');
    renameSync(file, `${file}.kept`);
    writeFileSync(file, 'fwn_wrong\n', { mode: 0o600 });
    try {
      await check(home, { what: '', args: ['inbox'], reason: 'TOKEN_INVALID', code: 77, help: /^/ });
    } finally {
      rmSync(file);
      renameSync(`${file}.kept`, file);
    }
  });
  it('a missing API key, and a wrong one', async () => {
    const file = join(home.path, 'data', 'fabric', 'keys', 'first-api-key');
    renameSync(file, `${file}.kept`);
    try {
      const missing = { reason: 'API_KEY_MISSING', code: 78, help: /FLEETWIRE_API_KEY/ };
      await check(home, { what: '', args: ['who'], ...missing });
      const env = { FLEETWIRE_API_KEY: 'fwk_wrong' };
      assert.equal((await home.refused(['who'], { env })).code, 77);
    } finally {
      renameSync(`${file}.kept`, file);
    }
  });
  it('no tmux: said so, and the name stays free', async () => {
    const args = ['agent', 'run', 'bob', '--', 'cat'];
    await check(home, { what: '', args, reason: 'TMUX_MISSING', code: 78, help: /tmux/ });
    const { agents } = await home.ok('agent', 'list');
    assert.deepEqual(agents.map((a: { name: string }) => a.name).sort(), ['alice', 'operator']);
    const doctor = await home.run(['doctor', '--json']);
    const tmux = doctor.json.findings.find((f: { check: string }) => f.check === 'tmux');
    assert.deepEqual([doctor.code, tmux.state], [0, 'warn']);
  });
  it('loses nothing over all of it', async () => {
    const { messages } = await home.ok('inbox', 'alice');
    assert.deepEqual(
      messages.map((m: { body: string }) => m.body),
      ['before it all', 'second'],
    );
  });
});
