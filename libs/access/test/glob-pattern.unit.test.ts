// Goal: patterns match what they say, and no pattern makes matching slow.
// Method: a table, comparison with the obvious recursive matcher, and a text that counts how often it is read.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { type Characters, GlobPattern } from '../src/glob-pattern.ts';

/** As the definition reads. */
function obvious(pattern: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === '*') return obvious(rest, text) || (text.length > 0 && obvious(pattern, text.slice(1)));
  return text.length > 0 && (first === '?' || first === text[0]) && obvious(rest, text.slice(1));
}

class CountedText implements Characters {
  readonly #text: string;
  reads = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get length(): number {
    return this.#text.length;
  }

  charCodeAt(at: number): number {
    assert.ok(at >= 0 && at < this.#text.length, 'reads outside of the text');
    this.reads++;
    return this.#text.charCodeAt(at);
  }
}

describe('patterns', () => {
  const table: [pattern: string, matches: string[], differs: string[]][] = [
    ['', [''], ['a']],
    ['*', ['', 'a', 'any-thing'], []],
    ['**', ['', 'a', 'ab'], []],
    ['?', ['a', '?', '*', '🚀', 'é'], ['', 'ab', '🚀🚀']],
    ['build', ['build'], ['Build', 'builder', 'a-build', '']],
    ['build-*', ['build-', 'build-1', 'build-*'], ['build', 'xbuild-1']],
    ['*-ci', ['-ci', 'a-ci', '-ci-ci'], ['ci', 'a-ci-']],
    ['a*a', ['aa', 'aba', 'aaa'], ['a', 'ab']],
    ['a?c', ['abc', 'a?c', 'a🚀c'], ['ac', 'abbc']],
    ['*b?d*', ['abcde', 'bxd', 'bbxd'], ['bd', 'bcc']],
    ['*ab*ab*', ['abab', 'xabyabz'], ['ab', 'aba']],
    ['a*??', ['abc', 'axxxx'], ['ab', 'a']],
    ['🚀*?', ['🚀x', '🚀🚀'], ['🚀', 'x']],
    ['a.c', ['a.c'], ['abc']],
    ['[a-z]+', ['[a-z]+'], ['abc']],
    ['^a$', ['^a$'], ['a']],
    ['a\\*', ['a\\', 'a\\b'], ['a*']],
  ];
  for (const [pattern, matches, differs] of table) {
    it(`"${pattern}"`, () => {
      const compiled = new GlobPattern(pattern);
      for (const text of matches) assert.ok(compiled.matches(text), `should match "${text}"`);
      for (const text of differs) assert.ok(!compiled.matches(text), `should not match "${text}"`);
    });
  }

  it('match as the obvious matcher does', () => {
    const unit = fc.constantFrom('a', 'b', 'A', '-', '🚀');
    const pattern = fc.array(fc.oneof(unit, fc.constantFrom('*', '?')), { maxLength: 9 });
    const text = fc.array(unit, { maxLength: 9 });
    fc.assert(
      fc.property(pattern, text, (p, t) => {
        assert.equal(new GlobPattern(p.join('')).matches(t.join('')), obvious(p, t));
      }),
      { numRuns: 5000 },
    );
  });
});

describe('the work of matching', () => {
  function reads(pattern: string, text: string): number {
    const counted = new CountedText(text);
    new GlobPattern(pattern).fits(counted);
    return counted.reads;
  }

  it('stays within length of text times length of pattern, whatever the pattern', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 200 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'a', 'b', '*', '*', '?'), maxLength: 100 });
    fc.assert(
      fc.property(pattern, letters, (p, t) => {
        assert.ok(reads(p, t) <= (t.length + 1) * p.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('grows with the text as the text does where backtracking would explode', () => {
    for (const pattern of [
      '*a*a*a*a*b',
      '*a*a*a*a*b*',
      'a*a*a*a*a*ab',
      '*?a*?a*?b*',
      `${'*a'.repeat(45)}*b*`,
    ]) {
      const short = reads(pattern, 'a'.repeat(1_000));
      const long = reads(pattern, 'a'.repeat(10_000));
      assert.ok(long <= 11 * short + 11, `${pattern}: ${short} reads, then ${long}`);
      assert.ok(long <= 30_000, `${pattern}: ${long} reads`);
    }
  });
});
