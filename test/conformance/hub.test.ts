// Goal: any hub does what docs/protocol.md says, so that a node in another language works with it.
// Method: nodes made of the generated messages, a bare gRPC and a bare NATS client drive it; nothing of ours is in between.
// The hub is the one that CONFORMANCE_HUB names, see CONTRIBUTING.md, else a fabric that is started here.

import { after, before, describe } from 'mocha';
import { beating } from './hub/beating.ts';
import { greeting } from './hub/greeting.ts';
import { hosting } from './hub/hosting.ts';
import { type Hub, openHub } from './hub/hub-under-test.ts';
import { joining } from './hub/joining.ts';
import { mailing } from './hub/mailing.ts';
import { moving } from './hub/moving.ts';

describe('a hub by the page', () => {
  let running: Hub | undefined;
  before(async () => {
    running = await openHub();
  });
  after(() => running?.[Symbol.asyncDispose]());
  const hub = () => running!;

  joining(hub);
  greeting(hub);
  beating(hub);
  hosting(hub);
  mailing(hub);
  moving(hub);
});
