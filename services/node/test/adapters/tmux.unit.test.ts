// Goal: what is typed is harmless and complete, and a captured screen is read rightly.
// Method: laws over arbitrary bodies, and small screens drawn by hand.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { evidenceOf } from '../../src/adapters/harmless.ts';
import { buildScreen, rememberBefore, standing } from '../../src/adapters/tmux-screen.ts';
import { socketPath, TMUX_LIMITS } from '../../src/adapters/tmux-server.ts';
import { cutByBytes, FOLD, markerPattern, renderForPane } from '../../src/adapters/tmux-text.ts';
import { aMessage } from './stand.ts';

const line = { kind: 'line', lineBytes: 200 } as const;
const raw = { kind: 'raw' } as const;

describe('text for a pane', () => {
  it('holds no control character but line breaks, and those only for programs that take them', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (body) => {
        for (const mode of [line, raw])
          for (const part of renderForPane(aMessage(body), mode)) {
            const control = mode.kind === 'raw' ? /(?!\n)\p{Cc}/u : /\p{Cc}/u;
            assert.doesNotMatch(part.header + part.body, control);
            assert.doesNotMatch(part.body, /\[fleetwire\s/);
          }
      }),
    );
  });
  it('never exceeds the longest line, and loses nothing to parts', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 900 }), (body) => {
        const parts = renderForPane(aMessage(body), line);
        for (const part of parts)
          assert(Buffer.byteLength(part.header + part.body) <= line.lineBytes, part.body);
        const [whole] = renderForPane(aMessage(body), { kind: 'line', lineBytes: 1e9 });
        assert.equal(parts.map((part) => part.body).join(''), whole!.body);
      }),
    );
  });
  it('folds line breaks and drops those at the end', () => {
    const [part] = renderForPane(aMessage('a\r\nb\rc\n\n'), line);
    assert.equal(part!.body, `a${FOLD}b${FOLD}c`);
  });
  it('shows bytes that are no text as base64', () => {
    const [part] = renderForPane(aMessage(Uint8Array.of(0xff, 0), { contentType: 'image/x' }), raw);
    assert.equal(part!.body, '(image/x, base64) /wA=');
    assert.equal(renderForPane(aMessage('an honest \ufffd'), raw)[0]!.body, 'an honest \ufffd');
  });
  it('cuts between characters', () => {
    assert.deepEqual(cutByBytes('aé€😀b', 4), ['aé', '€', '😀', 'b']);
    assert.deepEqual(cutByBytes('', 4), ['']);
  });
  it('gives evidence of one line and at most 200 characters', () => {
    assert.equal(evidenceOf(`${'x'.repeat(300)}`).length, 200);
    assert.equal(evidenceOf(' a\u001bb '), 'a\\u{1b}b');
  });
});

describe('a captured screen', () => {
  const facts = { cursorY: 0, cursorVisible: true, width: 10, height: 0 };
  const screenOf = (rows: string[], cursor: number, lines = rows, cursorVisible = true) =>
    buildScreen({ ...facts, cursorVisible, cursorY: cursor, height: rows.length }, rows, lines);
  const wanted = (typed: string[], kernelLine = false) => ({
    pattern: markerPattern('abcdefgh'),
    typed,
    kernelLine,
    before: undefined,
    shownBefore: 0,
  });
  const head = '[fleetwire abcdefgh] bob: hi';

  it('takes the wrapped rows of the cursor line for input', () => {
    const rows = ['out', '[fleetwire', 'abcdefgh]', ' hi', ''];
    const lines = ['out', '[fleetwire abcdefgh] hi', ''];
    assert.equal(standing(screenOf(rows, 3, lines), wanted([], true)).where, 'input');
    assert.equal(standing(screenOf(rows, 4, lines), wanted([], true)).where, 'beyond');
  });
  it('finds the last of several parts only', () => {
    const rows = ['[fleetwire abcdefgh 1/2] bob: a', ''];
    assert.equal(standing(screenOf(rows, 1), wanted([], true)).where, 'absent');
    const both = ['[fleetwire abcdefgh 2/2] bob: b', ''];
    assert.equal(standing(screenOf(both, 1), wanted([], true)).where, 'beyond');
  });
  it('counts only what was not there before the message was typed', () => {
    const rows = [`log: ${head}`, 'more', ''];
    assert.equal(standing(screenOf(rows, 2), { ...wanted([], true), shownBefore: 1 }).where, 'absent');
    const again = [...rows.slice(0, 2), head, ''];
    assert.equal(standing(screenOf(again, 3), { ...wanted([], true), shownBefore: 1 }).where, 'beyond');
  });
  it('takes nothing for submitted that still stands in the input of a program that edits it, whatever it left behind', () => {
    const redrawn = screenOf([`> ${head}`, 'some news', `> ${head}`], 2);
    assert.equal(standing(redrawn, wanted([head])).where, 'input');
    assert.equal(standing(redrawn, wanted([head], true)).where, 'beyond', 'the kernel leaves no copies');
  });
  it('finds a marker that a program has broken over two rows, at a space or anywhere', () => {
    for (const rows of [
      ['│ [fleetwire │', '│ abcdefgh] bob: hi │', '> '],
      ['| [fleetwire abc |', '| defgh] bob: hi |', '> '],
    ])
      assert.equal(standing(screenOf(rows, 2), wanted([head])).where, 'beyond', rows[0]);
    assert.equal(standing(screenOf(['[fleetwire', 'xbcdefgh]', ''], 2), wanted([])).where, 'absent');
  });
  it('takes several typed lines above the cursor for input until something else shows', () => {
    const typed = [head, 'second', ''];
    assert.equal(standing(screenOf([`> ${head}`, '  second', ''], 2), wanted(typed)).where, 'input');
    assert.equal(standing(screenOf([`> ${head}`, '  second', '> '], 2), wanted(typed)).where, 'beyond');
  });
  it('goes by the lowest box, or by a change of place, where the cursor is hidden', () => {
    const rule = '─'.repeat(20);
    const boxed = screenOf([rule, `> ${head}`, rule, 'status', ''], 4, undefined, false);
    assert.equal(standing(boxed, wanted([head])).where, 'input');
    const sent = screenOf([`> ${head}`, rule, '> ', rule, ''], 4, undefined, false);
    assert.equal(standing(sent, wanted([head])).where, 'beyond');
    const plain = screenOf(['old', `> ${head}`, 'status'], 2, undefined, false);
    const before = rememberBefore(plain, markerPattern('abcdefgh'));
    assert.equal(standing(plain, { ...wanted([head]), before }).where, 'input');
    const moved = screenOf([`> ${head}`, '>', 'status'], 2, undefined, false);
    assert.equal(standing(moved, { ...wanted([head]), before }).where, 'beyond');
  });
  it('keeps its rows and lines together however lines wrap', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{0,35}$/), { minLength: 1 }), (lines) => {
        const rows = lines.flatMap((l) => (l === '' ? [''] : l.match(/.{1,10}/g)!));
        const screen = screenOf(rows, rows.length - 1, lines);
        assert.equal(screen.lineOfRow.length, rows.length);
        for (const [i, text] of lines.entries())
          assert.equal(rows.filter((_, row) => screen.lineOfRow[row] === i).join(''), text);
      }),
    );
  });
});

describe('the socket of a tmux server', () => {
  it('lies in the folder, or has a short name of its own for a deep one', () => {
    assert.equal(socketPath('/a/b'), '/a/b/tmux.sock');
    const deep = socketPath(`/a/${'b'.repeat(120)}`);
    assert(Buffer.byteLength(deep) <= TMUX_LIMITS.socketPathBytes);
    assert.equal(deep, socketPath(`/a/${'b'.repeat(120)}`));
    assert.notEqual(deep, socketPath(`/a/${'c'.repeat(120)}`));
  });
});
