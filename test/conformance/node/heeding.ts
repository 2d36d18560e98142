/** Cases of a node: its heartbeats, and what each field of their answers makes it do. */

import { strict as assert } from 'node:assert';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { claimsOf, isSigned, nodeHelloText, rotationText } from '../wire/keys.ts';
import { reasonOf } from '../wire/rpc.ts';
import { NodeUnderTest } from './node-under-test.ts';
import type { Known, StandHub } from './stand-hub.ts';
import { ORG } from './stand-hub.ts';

const HOUR_MS = 3_600_000;

export const heeding = (hub: () => StandHub) =>
  describe('heartbeats', () => {
    let node: NodeUnderTest;
    let known: Known;
    before(async () => {
      node = await new NodeUnderTest(hub(), 'heeder').active();
      known = node.known;
    });
    after(() => node?.[Symbol.asyncDispose]());
    const beatsMore = async (count = 2) => {
      const from = known.beats.length;
      await eventually(() => known.beats.length >= from + count);
    };

    it('say who it is and how it is', async () => {
      const id = await node.host('amy');
      await eventually(() => known.beats.at(-1)!.rosterDigest === known.digest && known.digest !== 0);
      const beat = known.beats.at(-1)!;
      assert.ok(known.agents.has(id));
      assert.deepEqual([beat.node, beat.agents, beat.protocol, beat.leaving], [known.id, 1, 2, false]);
      assert.deepEqual(
        [beat.instance, beat.platform],
        [known.hellos.at(-1)!.instance, known.hellos.at(-1)!.platform],
      );
      assert.ok(beat.version !== '' && beat.load <= 10);
      assert.ok(beat.credentialsLeftS > 0 && beat.credentialsLeftS <= 3600);
    });

    it('known: HELLO again when it is not', async () => {
      const hellos = known.hellos.length;
      known.news = { known: false };
      known.onHello = () => {
        known.news = {};
      };
      await eventually(() => known.hellos.length > hellos);
      await beatsMore();
      assert.equal((await node.status()).hub, 'active');
    });

    it('draining: takes no new agents', async () => {
      known.news = { draining: true };
      await eventually(async () => (await node.status()).draining);
      assert.equal(await reasonOf(node.host('ben')), 'NODE_DRAINING');
      known.news = {};
      await eventually(async () => !(await node.status()).draining);
      await node.host('ben');
    });

    it('roster_differs: tells all its agents', async () => {
      const told = known.rosters.length;
      const lost = [...known.agents.values()].find(({ name }) => name === 'ben')!;
      known.agents.delete(lost.id);
      await eventually(() => known.rosters.length > told);
      assert.deepEqual(
        known.rosters
          .at(-1)!
          .map(({ name }) => name)
          .sort(),
        ['amy', 'ben'],
      );
      await eventually(() => known.beats.at(-1)!.rosterDigest === known.digest);
    });

    it('contender: tells people', async () => {
      known.news = { contender: 'thief (linux-x64)' };
      await eventually(async () => (await node.status()).contender === 'thief (linux-x64)');
      known.news = {};
      await eventually(async () => (await node.status()).contender === '');
    });

    it('sync_revision: asks for all of the org, then for what has changed', async () => {
      const route = (agent: string, name: string) => ({
        agent,
        name,
        node: 'n_0000000000000000',
        nodeName: 'far',
      });
      const full = {
        ...route('a_000000000000000a', 'far-one'),
        epoch: 1,
        shard: 0,
        capabilities: [],
        visibility: 0,
      };
      const rest = { group: '', suspended: false, movingFrom: '', project: '' };
      const second = { ...full, ...rest, agent: 'a_000000000000000b', name: 'far-two' };
      known.sync = ({ revision, pageToken }) => {
        // A node may have asked before it was told of anything: by a revision that is none of these.
        if (revision === 7) return { removed: [full.agent], revision: 9 };
        if (pageToken === '')
          return { full: true, agents: [{ ...full, ...rest }], revision: 7, nextPageToken: 'p' };
        return { full: true, agents: [second], revision: 7 };
      };
      const names = async () => {
        const { agents } = await (await node.door()).directory({}, node.auth);
        return agents.map(({ name }) => name).join();
      };
      const first = known.syncs.length;
      known.news = { syncRevision: 7 };
      await eventually(async () => (await names()) === 'far-one,far-two');
      const asked = known.syncs.length;
      known.news = { syncRevision: 9 };
      await eventually(async () => (await names()) === 'far-two');
      assert.deepEqual(
        known.syncs.slice(asked).map(({ revision }) => revision),
        [7],
      );
      const { revision } = known.syncs[0]!;
      assert.equal(revision, 0);
      const pages = known.syncs.slice(first, first + 2);
      assert.deepEqual(
        pages.map(({ pageToken }) => pageToken),
        ['', 'p'],
      );
      assert.equal(pages[0]!.revision, pages[1]!.revision);
      known.news = {};
    });

    it('a nudge: at once, whatever the interval', async () => {
      known.welcome = { heartbeatMs: 1_000_000, livenessMs: 4_000_000 };
      known.news = { known: false };
      known.onHello = () => {
        known.news = {};
      };
      const hellos = known.hellos.length;
      await eventually(() => known.hellos.length > hellos);
      // The interval that was under way ends; from then on only nudges bring heartbeats.
      for (let i = 0; i < 3; i++) {
        const beats = known.beats.length;
        await eventually(
          () => {
            hub().nudge(known, 'drain');
            return known.beats.length > beats;
          },
          { everyMs: 50 },
        );
      }
      hub().servers.nc.publish(`fw.v1.peer.${ORG}.${known.id}.registry`, new Uint8Array([0xff, 0xff]));
      known.welcome = {};
      known.news = { known: false };
      await eventually(
        () => {
          hub().nudge(known, 'drain');
          return known.hellos.length > hellos + 1;
        },
        { everyMs: 50 },
      );
      await beatsMore();
    });

    it('rotate_key: another key, by both keys’ signatures, also when the answer was lost', async () => {
      const [old] = known.keys;
      known.onRotate = (when) => {
        if (when === 'after') {
          known.onRotate = () => {};
          known.news = {};
          throw new Error('the answer is lost');
        }
      };
      known.news = { rotateKey: true };
      const next = await eventually(() => known.keys[0] !== old && known.keys[0]);
      const { nonce, newPublicKey, signature, newSignature } = known.rotations.at(-1)!;
      const text = rotationText(known.id, nonce, newPublicKey);
      assert.deepEqual([isSigned(old!, text, signature), isSigned(next, text, newSignature)], [true, true]);
      known.news = { rotateKey: true };
      const last = () => known.hellos.at(-1)!;
      await eventually(() => isSigned(next, nodeHelloText(last()), last().signature));
      known.news = {};
      known.keys = [next];
      const { links } = hub().servers;
      await eventually(() => links.some(({ what, key }) => what === 'connect' && key === next));
      await eventually(() => links.some(({ what, key }) => what === 'disconnect' && key === old));
      await beatsMore();
      assert.equal(known.rotations.length, 1);
    });

    it('user_jwt: a second connection is up before the first one goes', async () => {
      // Half of it is over before the node changes over; the other half is for a slow machine to do it in.
      known.lifetimeMs = 16_000;
      const hellos = known.hellos.length;
      await node.stop();
      const { links } = hub().servers;
      const from = links.length;
      await node.active();
      assert.ok(known.hellos.length > hellos);
      const userJwt = await hub().mint(known, Date.now() + HOUR_MS);
      known.news = { userJwt };
      const mine = () => links.slice(from).filter(({ key }) => known.keys.includes(key));
      await eventually(() => mine().some(({ what, jwt }) => what === 'disconnect' && jwt !== userJwt), {
        timeoutMs: 40_000,
      });
      assert.deepEqual(
        mine()
          .map(({ what }) => what)
          .slice(0, 3),
        ['connect', 'connect', 'disconnect'],
      );
      assert.equal(claimsOf(userJwt).sub, known.keys[0]);
      known.news = {};
      known.lifetimeMs = HOUR_MS;
      await beatsMore();
    });

    it('leaving: the last one says goodbye', async () => {
      await node.stop();
      assert.equal(known.beats.at(-1)!.leaving, true);
      assert.equal(known.beats.filter(({ leaving }) => leaving).length, 2);
    });
  });
