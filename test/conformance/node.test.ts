// Goal: any node does what docs/protocol.md says, so that a hub in another language works with it.
// Method: a hub made of the generated messages, a bare gRPC server and a real nats-server drives node processes, and
// misbehaves. The node is the command that CONFORMANCE_NODE names, see CONTRIBUTING.md, else ours.

import { after, before, describe } from 'mocha';
import { carrying } from './node/carrying.ts';
import { heeding } from './node/heeding.ts';
import { meeting } from './node/meeting.ts';
import { moving } from './node/moving.ts';
import { StandHub } from './node/stand-hub.ts';

describe('a node by the page', () => {
  let running: StandHub | undefined;
  before(async () => {
    running = await StandHub.start();
  });
  after(() => running?.[Symbol.asyncDispose]());
  const hub = () => running!;

  carrying(hub);
  heeding(hub);
  meeting(hub);
  moving(hub);
});
