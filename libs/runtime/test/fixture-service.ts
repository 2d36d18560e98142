/** A small service for the tests of the lifecycle, run as a process of its own; its section says how it behaves. */

import { childEnvironment, defineSection, loadConfig, z } from '@fleetwire/config';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { FleetwireError } from '@fleetwire/kernel';
import { bindService, type RpcContext } from '@fleetwire/rpc';
import { type Component, defineService, runService } from '@fleetwire/runtime';

const section = defineSection('fixture', {
  store: z.boolean().default(false).describe('Has a store'),
  broker: z.boolean().default(false).describe('Uses the broker'),
  hang_stop: z.boolean().default(false).describe('A component never stops'),
  hang_start: z.boolean().default(false).describe('A component never starts'),
  fail_start: z.boolean().default(false).describe('A component fails to start'),
  fault: z.boolean().default(false).describe('Fails after it is ready'),
});
// Only its own keys: what is wrong with others is for runService to say.
const own = Object.entries(childEnvironment()).filter(([key]) => key.startsWith('FLEETWIRE_FIXTURE_'));
const settings = loadConfig({ fixture: section }, { env: Object.fromEntries(own) }).fixture;

const unused = async (): Promise<never> => {
  throw new FleetwireError('unimplemented', 'UNUSED', 'not in this fixture');
};

export const fixture = defineService({
  name: 'fixture',
  config: { fixture: section },
  identity: 'none',
  ...(settings.store ? { store: { entities: [], migrations: [] } } : {}),
  broker: settings.broker
    ? { streams: ['INGRESS', 'INBOX', 'RECEIPTS', 'DEAD', 'EVENTS', 'MESSAGES'] }
    : 'none',
  wire(context) {
    const { log, config } = context;
    let call: PromiseWithResolvers<void> | undefined;
    const said = (line: string) => log.info({ said: line }, line);
    const plain: Component = {
      name: 'plain',
      start: () => said('plain starts'),
      stop: () => said('plain stops'),
    };
    const behaving: Component = {
      name: 'behaving',
      async start() {
        if (config.fixture.fail_start)
          throw new FleetwireError('failed_precondition', 'BROKEN', 'it is broken\nreally');
        if (config.fixture.hang_start) await new Promise(() => undefined);
        if (config.fixture.fault)
          setTimeout(() => context.fail(new FleetwireError('data_loss', 'TORN', 'a page')), 50);
      },
      stop: () => (config.fixture.hang_stop ? new Promise(() => undefined) : said('behaving stops')),
    };
    const service = bindService(
      NodeServiceDefinition,
      {
        async *attach(_requests, { draining }: RpcContext) {
          await new Promise((resolve) => draining.addEventListener('abort', resolve));
          yield { goodbye: { reason: 'closing' } };
        },
        // Answers once the service has begun to end: a call in flight.
        async send(_request, { draining }: RpcContext) {
          call = Promise.withResolvers();
          said('a call is in flight');
          draining.addEventListener('abort', () => call?.resolve());
          await call.promise;
          return { id: 'finished' };
        },
        waitMessage: unused,
        readInbox: unused,
        runAgent: unused,
        stopAgent: unused,
        agentToken: unused,
        listLocalAgents: unused,
        directory: unused,
        nodeStatus: async () => ({ node: context.instance, version: context.version }),
      },
      { auth: 'none' },
    );
    return { rpc: [service], components: [plain, behaving] };
  },
});

if (import.meta.main) await runService(fixture, { handleSignals: true });
