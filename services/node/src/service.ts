/** The node as a service: the daemon of one machine, wired here and nowhere else. */

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { childEnvironment, folders } from '@fleetwire/config';
import { lockFolder } from '@fleetwire/embedded';
import type { Moving } from '@fleetwire/gen/message';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { rosterDigest } from '@fleetwire/identity';
import { nameOfHost } from '@fleetwire/kernel';
import { bindService, type RpcClientOptions } from '@fleetwire/rpc';
import {
  defineService,
  type RunningService,
  type RunOptions,
  runService,
  type ServiceContext,
} from '@fleetwire/runtime';
import { ADAPTERS } from './adapters/index.ts';
import type { HostedAgent } from './agents/hosted-agent.ts';
import { Programs } from './agents/programs.ts';
import { Registration } from './agents/registration.ts';
import { nodeSection } from './config.ts';
import { OrgTokens } from './domain/org-tokens.ts';
import { createEngine, type Engine, loadEngine } from './engine.ts';
import { AgentHandlers } from './handlers/agents.ts';
import { AttachHandler } from './handlers/attach.ts';
import { Callers, type NodeContext } from './handlers/callers.ts';
import { MessageHandlers } from './handlers/messages.ts';
import { Directory } from './hub/directory.ts';
import type { NodeSelf } from './hub/hello.ts';
import { createHub, type Hub } from './hub/hub.ts';
import {
  adminToken,
  type NodeIdentity,
  readWelcome,
  removeAddress,
  writeAddress,
} from './hub/identity-file.ts';
import { MachineFacts } from './hub/machine-facts.ts';
import { machineDigest } from './hub/machine-id.ts';
import { NodeClock } from './hub/node-clock.ts';
import { NodeKeys } from './hub/node-keys.ts';
import { OrgPolicies } from './hub/policies.ts';
import { joinOnce, type RegistryClient, RegistryDoor } from './hub/registry-door.ts';
import { sendOnce } from './mail/send-once.ts';
import { Departures } from './moving/departures.ts';
import { AgentTable } from './store/agent-table.ts';
import { openDatabase } from './store/database.ts';
import { LogFlusher } from './store/log-flusher.ts';
import { storeFault } from './store/store-fault.ts';

const OFFSET_KEY = 'clock_offset_us';
const REVOCATIONS_KEY = 'revocations';
const config = { node: nodeSection };
type Context = ServiceContext<typeof config>;

export const node = defineService({
  name: 'node',
  config,
  broker: 'none',
  identity: 'none',
  wire: async (context) => {
    const dir = dataDir(context);
    const lock = await lockFolder(dir);
    try {
      const identity = await joinOrg(context, dir);
      return await wireNode(context, dir, identity, () => lock.release());
    } catch (error) {
      await lock.release();
      throw error;
    }
  },
});

export function start(options: RunOptions<typeof config> = {}): Promise<RunningService> {
  return runService(node, options);
}

/** The folder of a node with this configuration; also where programs find `node.json` and `admin-token`. */
export function dataDir(context: Pick<Context, 'config'>): string {
  return context.config.node.data_dir || join(folders(context.config).data, 'node');
}

function joinOrg(context: Context, dir: string): Promise<NodeIdentity> {
  const { name, join_token: joinToken, registry, join_wait_ms: waitMs } = context.config.node;
  return joinOnce({
    dir,
    name: name || nameOfHost(hostname()),
    joinToken,
    registry,
    waitMs,
    client: (options) => registryClient(context, options),
  });
}

function registryClient(context: Context, options: RpcClientOptions): RegistryClient {
  const deadlineMs = context.config.node.hub_timeout_ms;
  return context.client(RegistryServiceDefinition, { deadlineMs, ...options });
}

/** Closes the file again, and says what is wrong with it, when it cannot be read. */
async function openEngine(context: Context, dir: string, identity: NodeIdentity) {
  const { log, tracer } = context;
  const settings = context.config.node;
  const db = openDatabase(dir, settings.sync);
  try {
    const clock = new NodeClock(Number(new AgentTable(db).meta(OFFSET_KEY) ?? 0));
    const broken = (error: Error) => context.fail(error);
    const engine = createEngine({ db, config: settings, identity, clock, tracer, log, broken });
    await loadEngine(engine);
    return { db, clock, engine };
  } catch (error) {
    db.close();
    throw storeFault(error, dir);
  }
}

async function wireNode(context: Context, dir: string, identity: NodeIdentity, unlock: () => Promise<void>) {
  const { log, version } = context;
  const settings = context.config.node;
  const { db, clock, engine } = await openEngine(context, dir, identity);
  const client = (options: RpcClientOptions) => registryClient(context, options);
  const keys = new NodeKeys(dir, identity);
  const self = nodeSelf(engine, dir, version);
  const registry = settings.registry || identity.registry;
  const moving = (list: readonly Moving[]) => departures.told(list);
  const door: RegistryDoor = new RegistryDoor(
    { dir, node: identity.node, keys, self, registry, clock, client, moving },
    readWelcome(dir),
  );
  const registration = new Registration({
    book: engine.book,
    table: engine.tables.agents,
    turns: engine.turns,
    door,
    log,
    clock,
    agentsMax: settings.agents,
    retryMs: settings.roster_retry_ms,
    draining: () => door.draining,
    refusal: () => (hub.link.state === 'REFUSED' ? hub.link.error : ''),
    arrivals: engine.arrivals,
    // The next roster says it again.
    moved: (agent) => void noteMoved(agent).catch(() => undefined),
    dismissed: (agent) => void programs.remove(agent).catch(() => undefined),
  });
  // By HELLO the move is known, with its mail to be handed over; unless it was so long ago that nobody would take that.
  const noteMoved = async ({ id, moving: { arrivedEpoch } }: HostedAgent) => {
    await door.hello();
    await departures.told([{ agent: id, epoch: arrivedEpoch + 1 }]);
  };
  const tokens = orgTokens(engine);
  const hubActive = () => hub.link.state === 'ACTIVE';
  const directory = orgDirectory(context, engine, door, registration, hubActive);
  engine.book.elsewhere = () => directory.agentNames();
  const policies = orgPolicies(context, engine, door, directory);
  const programs = createPrograms(context, engine, registration, dir, identity);
  const departures = createDepartures(context, engine, door, programs);
  const hub: Hub = createHub({
    dir,
    engine,
    door,
    registration,
    tokens,
    departures,
    directory,
    policies,
    log,
    keys,
    self,
  });
  const callers = new Callers({
    org: identity.org,
    adminToken: adminToken(dir, () => `fwn_${randomBytes(32).toString('base64url')}`),
    agentSecret: identity.agentSecret,
    book: engine.book,
    trust: () => door.welcome?.trust ?? '',
    renewTrust: () => door.renewTrust(),
    refusal: (caller) => tokens.refusal(caller),
  });
  const attach = new AttachHandler({ engine, callers, registration, hubActive });
  const messages = new MessageHandlers(engine, callers);
  const agents = new AgentHandlers({ engine, callers, programs, directory, version, link: () => hub.link });
  const flusher = new LogFlusher(dir, () => engine.turns.commits);
  const store = {
    name: 'node store',
    start: () => {
      engine.ticker.start();
      if (settings.sync === 'normal') flusher.start();
    },
    stop: async () => {
      engine.ticker.stop();
      engine.pressure.stop();
      engine.tables.agents.setMeta(OFFSET_KEY, String(clock.offsetUs));
      engine.turns.close();
      await flusher.stop();
      db.close();
      await unlock();
    },
  };
  const addressFile = {
    name: 'address file',
    start: () =>
      writeAddress(dir, {
        address: context.address(),
        pid: process.pid,
        name: identity.name,
        node: identity.node,
      }),
    stop: () => removeAddress(dir),
  };
  return {
    rpc: [
      bindService(NodeServiceDefinition, {
        attach: (requests, call: NodeContext) => attach.attach(requests, call),
        send: (request, call: NodeContext) => messages.send(request, call),
        waitMessage: (request, call: NodeContext) => messages.waitMessage(request, call),
        readInbox: (request, call: NodeContext) => messages.readInbox(request, call),
        runAgent: (request, call: NodeContext) => agents.runAgent(request, call),
        stopAgent: (request, call: NodeContext) => agents.stopAgent(request, call),
        agentToken: (request, call: NodeContext) => agents.agentToken(request, call),
        listLocalAgents: (request, call: NodeContext) => agents.listLocalAgents(request, call),
        nodeStatus: (request, call: NodeContext) => agents.nodeStatus(request, call),
        directory: (request, call: NodeContext) => agents.directory(request, call),
      }),
    ],
    authenticate: (bearer: string) => callers.authenticate(bearer),
    components: [
      store,
      { name: 'hub link', start: () => hub.start(), stop: () => hub.stop() },
      { name: 'programs', start: () => programs.startAll(), stop: () => programs.stop() },
      addressFile,
    ],
    health: () => ({
      node: identity.node,
      hub: hub.link.state,
      outbox: engine.outbox.depth,
      inbox: engine.custody.depth,
      policies: policies.access?.version ?? 0,
      sessions: attach.open,
      sessions_cut_off: attach.cutOff,
    }),
  };
}

function orgDirectory(
  { log }: Context,
  { tables, turns, clock, config: settings, book, identity }: Engine,
  door: RegistryDoor,
  registration: Registration,
  hubActive: () => boolean,
): Directory {
  return new Directory({
    table: tables.directory,
    meta: tables.agents,
    turns,
    door,
    clock,
    log,
    entriesMax: settings.directory_entries,
    freshMs: settings.directory_fresh_ms,
    fullMs: settings.directory_full_ms,
    hubActive,
    heard: (routes) => {
      const differs = routes.some(({ agent, name, node: home }) => {
        const own = book.byId(agent);
        return (
          own !== undefined && own.refused === undefined && (own.name !== name || home !== identity.node)
        );
      });
      if (differs) registration.rosterDiffers();
    },
  });
}

/** From here on acceptance goes by what the hub has told, now or before the last stop. */
function orgPolicies(
  { log }: Context,
  { tables, turns, clock, identity, knowledge }: Engine,
  door: RegistryDoor,
  directory: Directory,
): OrgPolicies {
  const policies = new OrgPolicies({ org: identity.org, meta: tables.agents, turns, door, clock, log });
  knowledge.current = {
    access: () => policies.access,
    members: (kind, name) => directory.members(kind, name),
    suspended: (agent) => directory.suspended(agent),
  };
  return policies;
}

function nodeSelf({ config: settings, clock, book }: Engine, dir: string, version: string): NodeSelf {
  const facts = new MachineFacts({
    labels: listed(settings.labels),
    tools: listed(settings.tools),
    searchPath: childEnvironment()['PATH'] ?? '',
    monotonicMs: () => clock.monotonicMs(),
  });
  void facts.look(); // the link waits for it, not long
  const instance = randomBytes(16).toString('hex');
  const where = { machine: machineDigest(dir), host: hostname() };
  return { version, instance, ...where, facts, rosterDigest: () => rosterDigest(book.rosterIds()) };
}

const listed = (text: string): string[] => text.split(',').filter((name) => name !== '');

/** What was revoked is still so after a restart without the hub. */
function orgTokens({ config: settings, clock, tables, turns, identity }: Engine): OrgTokens {
  const tokens = new OrgTokens({
    org: identity.org,
    max: settings.revocations,
    nowMs: () => clock.nowUs() / 1000,
    changed: (remembered) => turns.addLater(() => tables.agents.setMeta(REVOCATIONS_KEY, remembered)),
  });
  tokens.restore(tables.agents.meta(REVOCATIONS_KEY));
  return tokens;
}

function createDepartures(
  context: Context,
  engine: Engine,
  door: RegistryDoor,
  programs: Programs,
): Departures {
  const { book, tables, custody, turns, clock, config: settings } = engine;
  const { agents, inbox, moving } = tables;
  return new Departures({
    book,
    agents,
    inbox,
    moving,
    custody,
    turns,
    clock,
    log: context.log,
    settleMs: settings.observe_ms,
    rememberMs: settings.move_remember_ms,
    rememberMax: settings.move_remember_max,
    keepMs: settings.move_keep_ms,
    handOver: (request) => door.handOver(request),
    endProgram: (agent) => programs.end(agent),
  });
}

function createPrograms(
  context: Context,
  engine: Engine,
  registration: Registration,
  dir: string,
  identity: NodeIdentity,
): Programs {
  return new Programs({
    dir,
    agentSecret: identity.agentSecret,
    observeMs: context.config.node.observe_ms,
    lateProofMs: context.config.node.late_proof_ms,
    clock: engine.clock,
    log: context.log,
    factories: ADAPTERS,
    book: engine.book,
    table: engine.tables.agents,
    turns: engine.turns,
    custody: engine.custody,
    registration,
    address: () => context.address(),
    send: (agent, outgoing) => sendOnce(engine, agent, outgoing),
    injected: (entry) => engine.ticker.watch(entry),
  });
}
