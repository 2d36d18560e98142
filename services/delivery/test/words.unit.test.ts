/**
 * Goal: what people write is cut into words that they would look for, in any language, and what they ask for becomes a query
 * that asks for just that. Method: texts of code, paths and several scripts; odd queries; any text at all.
 */

import assert from 'node:assert/strict';
import { FleetwireError } from '@fleetwire/kernel';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { Progress } from '../src/domain/progress.ts';
import { wordQuery } from '../src/domain/word-query.ts';
import { encodeWords, searchedText, TEXT_BYTES_MAX, wordsOf } from '../src/domain/words.ts';

describe('words', () => {
  it('are runs of letters and digits, whatever parts them', () => {
    assert.deepEqual(
      wordsOf('Fix src/main.ts:42, don’t_panic()!'),
      'fix src main ts 42 don t panic'.split(' '),
    );
    assert.deepEqual(wordsOf('ＡＢＣ Straße ΑΘΉΝΑ привет'), ['abc', 'straße', 'αθήνα', 'привет']);
    assert.deepEqual(wordsOf('接続が拒否 ok'), ['接', '続', 'が', '拒', '否', 'ok']);
    assert.deepEqual(wordsOf(' \n…'), []);
    assert.deepEqual(wordsOf('\u{16fe2}接\u{16fe2}'), ['接'], 'a sign of a script that is no letter');
  });

  it('are bounded, each and together', () => {
    assert.equal(wordsOf('x'.repeat(5000))[0]!.length, 64);
    assert.equal(wordsOf('a '.repeat(40_000)).length, 16_000);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        for (const word of wordsOf(text)) assert.match(word, /^[\p{L}\p{N}\p{M}]{1,64}$/u);
        assert.ok(encodeWords('o_1', text).length > 4);
      }),
    );
  });

  it('come from the beginning of a text, cut between signs; what is no text has none', () => {
    const long = Buffer.from('é'.repeat(TEXT_BYTES_MAX));
    assert.equal(searchedText(Buffer.concat([Buffer.from('x'), long]))!.length, TEXT_BYTES_MAX / 2);
    assert.equal(searchedText(Buffer.from([0xff, 0xfe])), undefined);
    assert.equal(searchedText(Buffer.from('a\0b')), undefined);
  });
});

describe('a query', () => {
  const query = (text: string) => wordQuery('o_1', text);
  const reason = (text: string) => {
    try {
      return query(text);
    } catch (error) {
      return error instanceof FleetwireError ? error.reason : 'another error';
    }
  };

  it('asks for all words, phrases in order, none of what is excluded, either side of an or', () => {
    assert.equal(query('main.ts'), `'@o_1' & ((('main' <-> 'ts')))`);
    const wanted = `'@o_1' & ((('connection' <-> 'refused') & !('timeout')))`;
    assert.equal(query('"Connection refused" -timeout'), wanted);
    assert.equal(query('a OR b c'), `'@o_1' & ((('a')) | (('b') & ('c')))`);
  });

  it('that says nothing to look for is refused, and so is one without end', () => {
    for (const text of ['-a', '"', '...', 'a or -b', 'x '.repeat(251), 'x y '.repeat(60)])
      assert.equal(reason(text), 'INVALID_SEARCH', text);
    assert.equal(reason(`'); drop table messages; --`).startsWith(`'@o_1' & `), true);
  });
});

describe('progress', () => {
  it('tells the pace and what is left, or that it is not known', () => {
    const progress = new Progress();
    assert.deepEqual(progress.figures, { waiting: 0, rows: 0, rows_per_s: 0, seconds_left: 0 });
    progress.see({ atMs: 0, waiting: 1000, done: 0, rowsEach: 4 });
    assert.equal(progress.figures.seconds_left, null);
    progress.see({ atMs: 1000, waiting: 900, done: 150, rowsEach: 4 });
    assert.deepEqual(progress.figures, { waiting: 900, rows: 3600, rows_per_s: 600, seconds_left: 9 });
    progress.see({ atMs: 2000, waiting: 2000, done: 300, rowsEach: 4 });
    assert.equal(progress.figures.seconds_left, null);
    progress.see({ atMs: 3000, waiting: 0, done: 2300, rowsEach: 4 });
    assert.equal(progress.figures.seconds_left, 0);
  });
});
