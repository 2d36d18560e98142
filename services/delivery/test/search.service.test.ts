/**
 * Goal: messages are found by what stands in them, newest first, by their own org only, each once however many pages they
 * fill and whatever arrives meanwhile. Method: a real PostgreSQL; history is written and indexed by the service's own code;
 * what lists give is compared with what is picked out of all messages in memory.
 */

import assert from 'node:assert/strict';
import { ListMessagesRequest } from '@fleetwire/gen/delivery';
import type { Envelope } from '@fleetwire/gen/message';
import { Stage } from '@fleetwire/gen/message';
import type { Caller } from '@fleetwire/identity';
import { FleetwireError, messageIdTime, newId, newMessageId, systemClock } from '@fleetwire/kernel';
import type { RpcContext } from '@fleetwire/rpc';
import { openStore, type Store } from '@fleetwire/store';
import { eventually, silentLog, startTestPostgres, type TestPostgres } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { historySource } from '../src/handlers/history.ts';
import { messageHandlers } from '../src/handlers/message-rpc.ts';
import { receiptSource } from '../src/handlers/receipts.ts';
import { WordIndexer } from '../src/handlers/word-indexer.ts';
import { entities } from '../src/store/entities.ts';
import { migrations } from '../src/store/migrations.ts';
import { makePartitions, partitionStarts } from '../src/store/partitions.ts';
import { indexNext, tidyWords } from '../src/store/word-table.ts';
import * as sample from './sample-traffic.ts';

const DAY_MS = 86_400_000;
const LIMITS = { recipientsMax: 100, recipientsListed: 5, pageBytes: 1_000_000, walkedMax: 50_000 };
const now = Date.now();

describe('history by what is in it', function () {
  this.timeout(120_000);
  let postgres: TestPostgres;
  let store: Store;
  let answers: ReturnType<typeof handlersWith>;

  const handlersWith = (walkedMax: number, of = store) =>
    messageHandlers({
      store: of,
      clock: systemClock,
      limits: { ...LIMITS, walkedMax },
      modes: () => 'full',
      roster: { nodeNames: () => Promise.resolve({}) },
      progress: () => [],
      starts: partitionStarts(store, systemClock),
    });

  before(async () => {
    postgres = await startTestPostgres();
    const options = { url: postgres.url, schema: 'delivery', entities, migrations, poolMax: 4, asks: true };
    store = await openStore({ ...options, applicationName: 'search' });
    await makePartitions(store, now - 20 * DAY_MS, 30);
    await makePartitions(store, now, 30);
    answers = handlersWith(LIMITS.walkedMax);
  });
  after(async () => {
    await store.close();
    await postgres[Symbol.asyncDispose]();
  });

  const idAt = (ms: number) => messageIdTime(ms) + newMessageId().slice(10);

  const say = (org: string, text: string, more: Partial<Envelope> = {}): Envelope =>
    sample.envelope({ org, body: Buffer.from(text), ...more });

  async function arrive(...messages: Envelope[]): Promise<void> {
    for (const [org, some] of Map.groupBy(messages, (message) => message.org)) {
      const source = historySource(store);
      const pack = sample.pulled(sample.ingressSubjectOf(org), sample.ingressPack(some), now * 1000);
      await source.save(source.combine([...source.read(pack).rows]));
    }
  }

  async function settle(org: string, messages: readonly Envelope[], stage: Stage, recipient: string) {
    const source = receiptSource({ store, homes: sample.ANYBODY });
    const receipts = messages.map((message) => sample.receiptFor(message, stage, { recipient }));
    const pack = sample.pulled(sample.receiptSubjectOf(org), sample.receiptBatch(receipts), now * 1000);
    await source.save(source.combine([...source.read(pack).rows]));
  }

  async function indexAll(): Promise<void> {
    while ((await indexNext(store)).messages > 0);
    await tidyWords(store);
  }

  const as = (org: string): RpcContext<Caller> =>
    ({ caller: { kind: 'user', subject: 'u_1', org, scopes: [] } }) as unknown as RpcContext<Caller>;

  const list = (org: string, asked: Partial<ListMessagesRequest>, of = answers) =>
    of.listMessages(ListMessagesRequest.fromPartial(asked), as(org));

  /** All pages; `between` happens after each. */
  async function all(
    org: string,
    asked: Partial<ListMessagesRequest>,
    between: () => Promise<void> = async () => {},
    of = answers,
  ): Promise<string[]> {
    const ids: string[] = [];
    for (let pageToken = '', more = true; more; ) {
      const page = await list(org, { ...asked, pageToken }, of);
      ids.push(...(page.messages ?? []).map(({ id }) => id ?? ''));
      pageToken = page.nextPageToken ?? '';
      more = pageToken !== '';
      await between();
    }
    return ids;
  }

  const newestFirst = (messages: readonly Envelope[]) =>
    messages
      .map(({ id }) => id)
      .sort()
      .reverse();

  const refusal = async (work: Promise<unknown>) => {
    const error = await work.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return error instanceof FleetwireError ? error.reason : 'none';
  };

  it('finds words, code, paths, phrases and other scripts, and not what must not be there', async () => {
    const org = newId('org');
    const texts = {
      code: 'Fixed src/main.ts:42 in parseHeader()',
      refused: 'ECONNREFUSED: connection refused by db-1',
      turned: 'he refused the connection',
      greek: 'Η ΣΎΝΔΕΣΗ απορρίφθηκε',
      chinese: '数据库连接被拒绝',
      json: '{"status":"connection refused","tries":3}',
    };
    const messages = Object.fromEntries(
      Object.entries(texts).map(([name, text]) => {
        const contentType = name === 'json' ? 'application/vnd.api+json; v=1' : '';
        return [name, say(org, text, { contentType })];
      }),
    );
    const binary = say(org, 'connection refused', { contentType: 'application/octet-stream' });
    const broken = say(org, '', { body: Buffer.from([0x63, 0xff, 0xfe]) });
    await arrive(...Object.values(messages), binary, broken);
    await indexAll();
    const found = async (text: string) => {
      const ids = await all(org, { text });
      return Object.keys(texts).filter((name) => ids.includes(messages[name]!.id));
    };
    assert.deepEqual(await found('main.ts'), ['code']);
    assert.deepEqual(await found('PARSEHEADER'), ['code']);
    assert.deepEqual(await found('connection refused'), ['refused', 'turned', 'json']);
    assert.deepEqual(await found('"connection refused"'), ['refused', 'json']);
    assert.deepEqual(await found('connection -econnrefused'), ['turned', 'json']);
    assert.deepEqual(await found('σύνδεση'), ['greek']);
    assert.deepEqual(await found('连接'), ['chinese']);
    assert.deepEqual(await found('接连'), []);
    assert.deepEqual(await found('tries or main'), ['code', 'json']);
    assert.deepEqual(await found(`o'hara | drop & ( ':*`), []);
    assert.equal((await all(org, { text: 'connection refused' })).length, 3);
  });

  it("never finds another org's, nor through a word that names it", async () => {
    const [mine, theirs] = [newId('org'), newId('org')];
    const secret = say(theirs, 'the password is swordfish');
    await arrive(secret, say(mine, `@${theirs} ${theirs}`));
    await indexAll();
    assert.deepEqual(await all(mine, { text: 'swordfish' }), []);
    assert.deepEqual(await all(mine, { text: `swordfish or @${theirs}` }), await all(mine, { text: theirs }));
    assert.deepEqual(await all(theirs, { text: 'swordfish' }), [secret.id]);
  });

  it('says how far it has come, and takes what is written once', async () => {
    const org = newId('org');
    const message = say(org, 'not yet');
    await arrive(message);
    const early = await list(org, { text: 'yet' });
    assert.deepEqual([early.messages, early.searchedUntilUs], [[], now * 1000]);
    await Promise.all([indexAll(), indexAll()]);
    await arrive(message);
    await indexAll();
    const late = await list(org, { text: 'yet' });
    assert.equal(late.messages?.length, 1);
    assert.ok(late.searchedUntilUs! > now * 1000);
    assert.deepEqual(await store.query('select seq from words_queue'), []);
  });

  it('gives pages of any filter in order, each message once, while others arrive', async () => {
    const org = newId('org');
    const agents = [newId('agent'), newId('agent'), newId('agent')] as const;
    const thread = idAt(now - 15 * DAY_MS);
    const messages = Array.from({ length: 900 }, (_, i) => {
      const id = i === 0 ? thread : idAt(now - 15 * DAY_MS + i * 1_440_000);
      const words = ['every', i % 3 === 0 ? 'third' : '', i % 200 === 0 ? 'rare' : ''].join(' ');
      const correlationId = i % 7 === 0 ? thread : id;
      const fromAgent = agents[i % 3]!;
      return say(org, words, { id, correlationId, fromAgent, to: i % 5 === 0 ? 'bob' : '#all' });
    });
    await arrive(...messages);
    const pick = (test: (i: number) => boolean) => messages.filter((_, i) => test(i));
    await settle(
      org,
      pick((i) => i % 4 === 0),
      Stage.CONFIRMED,
      agents[0],
    );
    await settle(
      org,
      pick((i) => i % 4 === 1),
      Stage.RETURNED,
      agents[1],
    );
    await settle(
      org,
      pick((i) => i % 8 === 1),
      Stage.CONFIRMED,
      agents[2],
    );
    await indexAll();
    const cases: [Partial<ListMessagesRequest>, (i: number) => boolean][] = [
      [{}, () => true],
      [{ correlationId: thread }, (i) => i % 7 === 0],
      [{ fromAgent: agents[1] }, (i) => i % 3 === 1],
      [{ recipient: agents[0] }, (i) => i % 4 === 0],
      [{ recipient: agents[1], stage: Stage.RETURNED }, (i) => i % 4 === 1],
      [{ recipient: agents[2], stage: Stage.RETURNED }, () => false],
      [{ stage: Stage.RETURNED }, (i) => i % 4 === 1],
      [{ stage: Stage.CONFIRMED }, (i) => i % 4 === 0 || i % 8 === 1],
      [{ to: 'bob' }, (i) => i % 5 === 0],
      [{ text: 'every' }, () => true],
      [{ text: 'third' }, (i) => i % 3 === 0],
      [{ text: 'rare' }, (i) => i % 200 === 0],
      [{ text: 'third -rare', to: 'bob', fromAgent: agents[0] }, (i) => i % 15 === 0 && i % 200 !== 0],
      [{ correlationId: thread, recipient: agents[0] }, (i) => i % 28 === 0],
    ];
    let later = 0;
    const between = () => arrive(say(org, 'every third rare', { id: idAt(now + 1000 + later++) }));
    for (const [asked, test] of cases) {
      const expected = newestFirst(pick(test));
      const until = { untilMs: now };
      for (const pageSize of [50, 7]) {
        const seen = await all(org, { ...asked, ...until, pageSize }, pageSize === 50 ? between : undefined);
        assert.deepEqual(seen, expected, JSON.stringify(asked));
      }
      // However little one call may look at, the pages end with all of it.
      if (asked.text === undefined)
        assert.deepEqual(
          await all(org, { ...asked, ...until, pageSize: 50 }, undefined, handlersWith(100)),
          expected,
        );
      const half = { fromMs: now - 10 * DAY_MS, untilMs: now - 5 * DAY_MS };
      const bounds = [messageIdTime(half.fromMs), messageIdTime(half.untilMs)] as const;
      const within = expected.filter((id) => id >= bounds[0] && id < bounds[1]);
      assert.deepEqual(await all(org, { ...asked, ...half }), within);
    }
    assert.deepEqual(await all(newId('org'), {}), []);
  });

  it('refuses what it cannot answer, with a reason', async () => {
    const org = newId('org');
    await arrive(say(org, 'a'), say(org, 'b'));
    const { nextPageToken: pageToken } = await list(org, { pageSize: 1 });
    assert.ok(pageToken);
    assert.equal(await refusal(list(org, { pageToken: 'x' })), 'INVALID_PAGE_TOKEN');
    assert.equal(await refusal(list(org, { pageToken, to: 'bob' })), 'INVALID_PAGE_TOKEN');
    assert.equal(await refusal(list(newId('org'), { pageToken })), 'INVALID_PAGE_TOKEN');
    assert.equal(await refusal(list(org, { pageToken, pageSize: 9 })), 'none');
    assert.equal(await refusal(list(org, { text: '-a' })), 'INVALID_SEARCH');
    assert.equal(await refusal(list(org, { stage: 99 as Stage })), 'INVALID_FILTER');
    assert.equal(await refusal(list(org, { fromMs: 2, untilMs: 1 })), 'INVALID_FILTER');
    assert.equal(await refusal(list(org, { fromMs: -5, untilMs: 2 ** 52 })), 'none');
  });

  it('takes out of the queue what cannot be read, and makes all else searchable', async () => {
    const org = newId('org');
    const [broken, near, stuck, last] = ['broken', 'near', 'stuck', 'last'].map((text) => say(org, text));
    await indexAll();
    await arrive(broken!, near!);
    await store.query(`update messages set envelope = '\\xff' where org = $1 and id = $2`, [org, broken!.id]);
    await arrive(stuck!);
    await arrive(last!);
    const tries: unknown[] = [];
    const query: Store['query'] = (sql, params = []) => {
      const ids = params[1];
      if (!Array.isArray(ids) || !ids.includes(stuck!.id)) return store.query(sql, params);
      tries.push(ids);
      // Away is no reason to give up.
      const [reason, code] = tries.length < 20 ? ['DATABASE_AWAY', '57P03'] : ['INVALID_TEXT', '22021'];
      const cause = Object.assign(new Error('not to be read'), { code });
      return Promise.reject(new FleetwireError('unavailable', reason!, 'no', { cause }));
    };
    const parts = {
      store: { ...store, query },
      clock: systemClock,
      leads: () => true,
      written: () => 0,
      log: silentLog,
    };
    const indexer = new WordIndexer({ ...parts, limits: { idleMs: 1, busyRows: 1, sharePercent: 100 } });
    indexer.start();
    const queued = async () => (await store.query('select from words_queue')).length;
    await eventually(async () => (await queued()) === 0);
    await indexer.stop();
    assert.deepEqual([indexer.stats.indexed, indexer.stats.refused, tries.length], [2, 2, 19 + 5]);
    assert.deepEqual(await all(org, { text: 'near or stuck or last' }), newestFirst([near!, last!]));
  });

  it('says of a search that takes longer than allowed that it is too broad', async () => {
    const org = newId('org');
    await arrive(say(org, 'slow'));
    const options = { url: postgres.url, schema: 'delivery', entities, migrations, poolMax: 2, asks: true };
    const hasty = await openStore({ ...options, applicationName: 'hasty', statementMs: 100 });
    const answersSoon = handlersWith(LIMITS.walkedMax, hasty);
    assert.deepEqual((await list(org, { text: 'slow' }, answersSoon)).messages, []);
    // Whoever asks now waits until it takes too long.
    await store.transaction(async (tx) => {
      await tx.query('lock table message_words in access exclusive mode');
      await assert.rejects(
        list(org, { text: 'slow' }, answersSoon),
        (e: unknown) =>
          e instanceof FleetwireError && e.reason === 'SEARCH_TOO_BROAD' && e.kind === 'deadline_exceeded',
      );
    });
    await hasty.close();
  });
});
