// Goal: the demo's agent takes up exactly what a node types, answers questions once, and never answers an answer.
// Method: lines in, text out; what it sends is collected instead of sent.

import { strict as assert } from 'node:assert';
import { Readable } from 'node:stream';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { runDemoAgent } from '../../src/demo/agent.ts';
import { answerTo, asksSomething, PartCollector, readDemoLine } from '../../src/demo/demo-line.ts';

async function run(lines: string[], fails?: FleetwireError) {
  let out = '';
  const sent: [string, string][] = [];
  await runDemoAgent({
    input: Readable.from([`${lines.join('\n')}\n`]),
    write: (text) => {
      out += text;
    },
    name: 'alice',
    send: async (to, text) => {
      if (fails) throw fails;
      sent.push([to, text]);
      return { id: `id${sent.length}` };
    },
  });
  return { out, sent };
}

describe('demo agent', () => {
  it('takes a message up and answers only what asks something', async () => {
    const { out, sent } = await run([
      '[fleetwire 0123abcd] bob: good morning',
      '[fleetwire 1123abcd] bob: how are you?',
      '[fleetwire 2123abcd] carol: ask: the time',
    ]);
    assert.match(out, /took up 0123abcd from bob/);
    assert.deepEqual(
      sent.map(([to, text]) => [to, text.slice(0, 11)]),
      [
        ['bob', 're 1123abcd'],
        ['carol', 're 2123abcd'],
      ],
    );
    assert(sent.every(([, text]) => !asksSomething(text)));
    assert(!asksSomething(answerTo('alice', 'x', 'ask: ask: ?', 1)));
  });
  it('is usable by hand, and is no shell', async () => {
    const { out, sent } = await run(['@bob@laptop hello there', 'ls -l', '', '/quit', '@bob too late']);
    assert.deepEqual(sent, [['bob@laptop', 'hello there']]);
    assert.match(out, /nothing else/);
  });
  it('says why something was not sent, and goes on', async () => {
    const away = new FleetwireError('unavailable', 'NODE_UNREACHABLE', 'no node', { help: 'Start it.' });
    const { out } = await run(['@bob a', '@bob b'], away);
    assert.equal(out.match(/not sent \(NODE_UNREACHABLE\): no node Start it\./g)?.length, 2);
  });
  it('puts the parts of a long message together', async () => {
    const { out, sent } = await run([
      '[fleetwire 0123abcd 1/2] bob: is this ',
      '[fleetwire 0123abcd 2/2] bob: one message?',
    ]);
    assert.match(out, /took up 0123abcd from bob \(\d+ characters\)/);
    assert.match(sent[0]![1], /you said "is this one message\?"/);
    const parts = new PartCollector();
    const line = readDemoLine('[fleetwire 0123abcd 2/2] bob: x');
    assert(line.kind === 'part');
    assert.equal(parts.add(line), undefined, 'a part without the one before it');
  });
  it('reads heads strictly', () => {
    assert.equal(readDemoLine('[fleetwire 0123abcd] b b: x').kind, 'other');
    assert.equal(readDemoLine('[fleetwire 0123] bob: x').kind, 'other');
    assert.equal(readDemoLine(' [fleetwire 0123abcd] bob: x').kind, 'other');
    assert.deepEqual(readDemoLine('[fleetwire 0123abcd] bob: a: b'), {
      kind: 'message',
      marker: '0123abcd',
      from: 'bob',
      text: 'a: b',
    });
  });
});
