// Goal: `route explain` asks the router for what was typed and says where a message would go; what leads nowhere is an error with
// its reason and what may have been meant.
// Method: the command line against a router in this process that answers what a test says.

import { strict as assert } from 'node:assert';
import { ERROR_TABLE } from '@fleetwire/contract';
import { ExplainResponse } from '@fleetwire/gen/router';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type StandIn, standIn } from './stand-in.ts';

describe('route explain', function () {
  this.timeout(60_000);
  let w: StandIn;
  beforeEach(async () => {
    w = await standIn();
  });
  afterEach(() => w[Symbol.asyncDispose]());
  const answer = (said: Parameters<typeof ExplainResponse.fromPartial>[0]) => {
    w.answers.router['explain'] = () => ExplainResponse.fromPartial(said);
  };

  it('shows the agent that a message would go to', async () => {
    const agent = {
      agent: 'a_1',
      name: 'alice',
      node: 'n_1',
      nodeName: 'laptop',
      nodeStatus: 'online',
      epoch: 7,
    };
    const policy = 'allowed by default';
    answer({
      routable: true,
      ...agent,
      subject: 'inbox.of.alice',
      detail: 'alice lives on laptop',
      recipients: 1,
      policy,
    });
    const { code, json } = await w.run('route', 'explain', 'app:alice', '--from', 'bob', '--json');
    assert.deepEqual(w.asked[0]!.request, { org: '', to: 'app:alice', from: 'bob' });
    assert.deepEqual([code, json['routable'], json['recipients'], json['policy']], [0, true, 1, policy]);
    assert.deepEqual(json['agent'], {
      id: 'a_1',
      name: 'alice',
      node: 'n_1',
      node_name: 'laptop',
      node_status: 'online',
      epoch: 7,
    });
    const { out } = await w.run('route', 'explain', 'alice');
    assert.match(
      out,
      /^alice: ROUTABLE\n {2}why {5}alice lives on laptop\n {2}agent {3}alice on laptop, online\n/,
    );
  });

  it('shows the nodes that a message to many would go to', async () => {
    const node = {
      node: 'n_1',
      nodeName: 'laptop',
      subject: 'inbox.many',
      recipients: 2,
      nodeStatus: 'offline',
    };
    answer({ routable: true, detail: '2 recipients on 1 nodes', recipients: 2, nodes: [node] });
    const { json } = await w.run('route', 'explain', '#ops', '--json');
    assert.deepEqual([json['agent'], json['subject'], json['recipients']], [null, null, 2]);
    const shown = {
      node: 'n_1',
      node_name: 'laptop',
      node_status: 'offline',
      subject: 'inbox.many',
      recipients: 2,
    };
    assert.deepEqual(json['nodes'], [shown]);
    assert.match((await w.run('route', 'explain', '#ops')).out, /laptop +offline +2 +inbox\.many/);
  });

  it('fails where there is no way, with what may have been meant', async () => {
    answer({
      routable: false,
      reason: 'UNKNOWN_CHANNEL',
      detail: 'no channel "opps"',
      suggestions: ['#ops'],
    });
    const { code, json, err } = await w.run('route', 'explain', '#opps', '--json');
    assert.deepEqual(
      [code, json['routable'], json['reason'], json['suggestions']],
      [ERROR_TABLE.not_found.exit, false, 'UNKNOWN_CHANNEL', ['#ops']],
    );
    assert.match(err, /UNKNOWN_CHANNEL/);
    assert.match((await w.run('route', 'explain', '#opps')).err, /Did you mean #ops\?/);
  });

  it('refuses what is no address, and a sender that is no name, before anything is asked', async () => {
    for (const [args, reason] of [
      [['a b'], 'INVALID_ADDRESS'],
      [['alice', '--from', '#x'], 'INVALID_NAME'],
    ] as const) {
      const { code, err } = await w.run('route', 'explain', ...args, '--json');
      assert.equal(code, ERROR_TABLE.invalid_argument.exit);
      assert.match(err, new RegExp(reason));
    }
    assert.deepEqual(w.asked, []);
  });
});
