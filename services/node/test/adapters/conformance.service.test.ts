// Goal: however mail gets into a program, the same holds: in order, once, confirmed when taken up and not before.
// Method: one suite over real programs in panes and on pipes, over sessions and over mailboxes that are read.

import { Stage } from '@fleetwire/gen/message';
import { describe } from 'mocha';
import { stdioAdapter } from '../../src/adapters/stdio.ts';
import { tmuxAdapter } from '../../src/adapters/tmux.ts';
import { adapterConformance } from './conformance.ts';
import { programWorld } from './program-world.ts';
import { readerWorld } from './reader-world.ts';
import { asIs, asLines, asOneLine } from './world.ts';

describe('conformance of adapters', () => {
  const notTakenUp = [Stage.UNCONFIRMED, 'NOT_TAKEN_UP'] as const;
  const tmux = { silent: notTakenUp, lost: notTakenUp, survives: true };
  adapterConformance('tmux, a program that reads lines', { ...tmux, text: asOneLine }, (folder) =>
    programWorld(folder, tmuxAdapter, 'lines'),
  );
  adapterConformance('tmux, a program with bracketed paste', { ...tmux, text: asLines }, (folder) =>
    programWorld(folder, tmuxAdapter, 'raw'),
  );
  adapterConformance('tmux, a program without bracketed paste', { ...tmux, text: asLines }, (folder) =>
    programWorld(folder, tmuxAdapter, 'plain'),
  );
  const notAcknowledged = [Stage.UNCONFIRMED, 'NOT_ACKNOWLEDGED'] as const;
  adapterConformance(
    'stdio',
    { silent: notAcknowledged, lost: notAcknowledged, survives: false, text: asIs },
    (folder) => programWorld(folder, stdioAdapter, 'json'),
  );
  const sessionLost = [Stage.UNCONFIRMED, 'SESSION_LOST'] as const;
  adapterConformance('a session', { silent: undefined, lost: sessionLost, survives: false, text: asIs }, () =>
    readerWorld('stream'),
  );
  adapterConformance('a mailbox', { silent: undefined, lost: undefined, survives: false, text: asIs }, () =>
    readerWorld('mailbox'),
  );
  adapterConformance(
    'a mailbox, by a reader that confirms',
    { silent: undefined, lost: undefined, survives: false, text: asIs },
    () => readerWorld('confirming'),
  );
});
