/**
 * Goal: the directory is what the hub has said, over pages, changes, restarts and answers that are cut short, and only while
 * it is fresh.
 * Method: the real database against a hub that is a model with random changes; the seed is printed.
 */

import assert from 'node:assert/strict';
import { Route } from '@fleetwire/gen/message';
import { type SyncRequest, SyncResponse } from '@fleetwire/gen/registry';
import { FleetwireError } from '@fleetwire/kernel';
import { silentLog as log } from '@fleetwire/testkit';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Directory } from '../src/hub/directory.ts';
import { type TestEngine, testEngine } from './engine-fixture.ts';

const HOUR = 3_600_000;
const idOf = (n: number) => `a_${String(n).padStart(16, '0')}`;
const routeOf = (n: number, name = `agent-${n}`) =>
  Route.fromPartial({ agent: idOf(n), name, node: 'n_1', epoch: 1 });

/** Every change has its revision; answers come in pages of two. */
class ModelHub {
  revision = 1;
  readonly routes = new Map<number, { route: Route; at: number }>();
  readonly removed = new Map<number, number>();
  readonly requests: SyncRequest[] = [];
  /** Pages until it is away; undefined: it stays. */
  pagesLeft: number | undefined;

  change(n: number, name: string | undefined): void {
    this.revision++;
    if (name === undefined) {
      if (this.routes.delete(n)) this.removed.set(n, this.revision);
    } else {
      this.removed.delete(n);
      this.routes.set(n, { route: routeOf(n, name), at: this.revision });
    }
  }

  async sync(request: SyncRequest): Promise<SyncResponse> {
    this.requests.push(request);
    if (this.pagesLeft !== undefined && this.pagesLeft-- <= 0)
      throw new FleetwireError('unavailable', 'AWAY', 'away');
    const full = request.revision === 0;
    const changed = [...this.routes.values()].filter(({ at }) => at > request.revision);
    const from = Number(request.pageToken || 0);
    const agents = changed.slice(from, from + 2).map(({ route }) => route);
    const nextPageToken = from + 2 < changed.length ? String(from + 2) : '';
    const gone = [...this.removed].filter(([, at]) => !full && at > request.revision && from === 0);
    const removed = gone.map(([n]) => idOf(n));
    return SyncResponse.fromPartial({ full, agents, removed, revision: this.revision, nextPageToken });
  }
}

describe('directory', () => {
  let test: TestEngine;
  let hub: ModelHub;
  let directory: Directory;
  let active: boolean;
  let heard: string[];

  beforeEach(async () => {
    test = await testEngine();
    hub = new ModelHub();
    active = true;
    heard = [];
    directory = make();
  });
  afterEach(() => test.close());

  function make(entriesMax = 100): Directory {
    const { tables, turns } = test.engine;
    return new Directory({
      table: tables.directory,
      meta: tables.agents,
      turns,
      door: hub,
      clock: test.clock,
      log,
      entriesMax,
      freshMs: HOUR,
      fullMs: HOUR,
      hubActive: () => active,
      heard: (routes) => heard.push(...routes.map((route) => route.name)),
    });
  }

  async function restart(): Promise<void> {
    const { ahead } = test.clock;
    test = await test.crash();
    test.clock.ahead = ahead;
    directory = make();
  }

  const names = () => directory.page(0, '').agents.map((route) => route.name);
  const expected = () => [...hub.routes].toSorted(([a], [b]) => a - b).map(([, { route }]) => route.name);

  it('knows of an agent that it lives elsewhere, as long as that is fresh', async () => {
    hub.change(1, 'alice');
    assert.equal(directory.livesElsewhere('alice', 'n_2'), false);
    await directory.told(hub.revision);
    const elsewhere = () => ['n_1', 'n_2'].map((node) => directory.livesElsewhere('Alice', node));
    assert.deepEqual(elsewhere(), [false, true]);
    assert.equal(directory.livesElsewhere('bob', 'n_2'), false);
    test.clock.ahead = 2 * HOUR * 1000;
    assert.deepEqual(elsewhere(), [false, false]);
  });

  it('follows the hub by what has changed, over restarts and answers that are cut short', async function () {
    this.timeout(60_000);
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_007);
    console.log(`      seed ${seed}`);
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ n: fc.nat(6), name: fc.option(fc.nat(3), { nil: undefined, freq: 2 }) }),
      },
      { weight: 3, arbitrary: fc.constant('sync' as const) },
      { weight: 1, arbitrary: fc.constant('cut' as const) },
      { weight: 1, arbitrary: fc.constant('restart' as const) },
      { weight: 1, arbitrary: fc.constant('hour' as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        await test.close();
        test = await testEngine();
        hub = new ModelHub();
        directory = make();
        for (const step of steps) {
          if (step === 'restart') await restart();
          else if (step === 'hour') test.clock.ahead += HOUR * 1000 + 1;
          else if (step === 'sync') {
            await directory.told(hub.revision);
            assert.deepEqual(names(), expected());
          } else if (step === 'cut') {
            hub.pagesLeft = 1;
            await directory.told(hub.revision);
            hub.pagesLeft = undefined;
            test.clock.ahead += 1000;
          } else hub.change(step.n, step.name === undefined ? undefined : `name-${step.name}`);
        }
        await directory.told(hub.revision);
        assert.deepEqual(names(), expected());
      }),
      { seed, numRuns: 40 },
    );
  });

  it('asks for nothing while nothing has changed, and for all of it once an hour', async () => {
    hub.change(1, 'alice');
    for (let i = 0; i < 3; i++) await directory.told(hub.revision);
    assert.deepEqual(
      hub.requests.map((request) => request.revision),
      [0],
    );
    hub.change(2, 'bob');
    await directory.told(hub.revision);
    test.clock.ahead += HOUR * 1000;
    await directory.told(hub.revision);
    assert.deepEqual(
      hub.requests.map((request) => request.revision),
      [0, 2, 0],
    );
    assert.deepEqual(heard, ['alice', 'bob', 'alice', 'bob']);
  });

  it('is of use for an hour after the last word of the hub, also after a restart, and then says nothing', async () => {
    hub.change(1, 'alice');
    await directory.told(hub.revision);
    assert.equal(directory.page(0, '').current, true);
    test.clock.ahead += (HOUR / 2) * 1000;
    await directory.told(hub.revision);
    active = false;
    test.engine.turns.flush();
    await restart();
    test.clock.ahead += (HOUR - 1000) * 1000;
    assert.deepEqual(
      [names(), directory.page(0, '').current, directory.agentNames()],
      [['alice'], false, ['alice']],
    );
    test.clock.ahead += 2000 * 1000;
    assert.deepEqual([names(), directory.page(0, '').current, directory.agentNames()], [[], false, []]);
    assert.notEqual(directory.page(0, '').asOfMs, 0);
    active = true;
    await directory.told(hub.revision);
    assert.deepEqual([names(), directory.page(0, '').current], [['alice'], true]);
  });

  it('is not current while the hub has said that there is something newer', async () => {
    await directory.told(hub.revision);
    hub.pagesLeft = 0;
    hub.change(1, 'alice');
    await directory.told(hub.revision);
    assert.equal(directory.page(0, '').current, false);
  });

  it('keeps no more entries than it may', async () => {
    directory = make(3);
    for (let n = 0; n < 5; n++) hub.change(n, `agent-${n}`);
    await directory.told(hub.revision);
    assert.equal(names().length, 3);
    hub.change(0, 'renamed');
    await directory.told(hub.revision);
    assert.equal(names()[0], 'renamed');
  });

  it('has room in a full answer, whatever there was before', async () => {
    directory = make(3);
    for (let n = 0; n < 3; n++) hub.change(n, `agent-${n}`);
    await directory.told(hub.revision);
    for (let n = 0; n < 3; n++) hub.change(n, undefined);
    for (let n = 6; n < 9; n++) hub.change(n, `agent-${n}`);
    test.clock.ahead += HOUR * 1000 + 1;
    await directory.told(hub.revision);
    assert.equal(hub.requests.at(-1)!.revision, 0);
    assert.deepEqual(names(), expected());
  });

  it('drops what only an answer that was cut short still had', async () => {
    for (let n = 0; n < 5; n++) hub.change(n, `agent-${n}`);
    await directory.told(hub.revision);
    test.clock.ahead += HOUR * 1000;
    hub.pagesLeft = 1;
    await directory.told(hub.revision);
    hub.pagesLeft = undefined;
    hub.change(0, undefined);
    await directory.told(hub.revision);
    assert.deepEqual(names(), expected());
  });

  it('is given in pages', async () => {
    for (let n = 0; n < 5; n++) hub.change(n, `agent-${n}`);
    await directory.told(hub.revision);
    const seen: string[] = [];
    let token = '';
    do {
      const page = directory.page(2, token);
      assert.ok(page.agents.length <= 2);
      seen.push(...page.agents.map((route) => route.name));
      token = page.nextPageToken;
    } while (token !== '');
    assert.deepEqual(seen, expected());
    assert.throws(() => directory.page(2, 'x%'), { reason: 'INVALID_PAGE_TOKEN' });
  });

  it('asks for all of it when what it has written down cannot be read', async () => {
    hub.change(1, 'alice');
    await directory.told(hub.revision);
    test.engine.tables.agents.setMeta('directory', '{"revision":"x"}');
    await restart();
    assert.deepEqual(names(), []);
    await directory.told(hub.revision);
    assert.deepEqual([names(), hub.requests.at(-1)!.revision], [['alice'], 0]);
  });
});
