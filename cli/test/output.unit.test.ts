// Goal: one document with --json, lines for people without; errors with stable fields, exit codes of the error table.
// Method: collect what is written; compare.

import { strict as assert } from 'node:assert';
import { ERROR_TABLE } from '@fleetwire/contract';
import { ERROR_KINDS, FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import {
  ago,
  createOutput,
  errorDocument,
  errorOfDocument,
  FailedResult,
  reportError,
  table,
  visible,
} from '../src/output.ts';

function collected() {
  const text = { out: '', err: '' };
  const into = (name: 'out' | 'err') => (chunk: string) => {
    text[name] += chunk;
  };
  const streams = { out: into('out'), err: into('err') };
  return { text, streams };
}

const fault = new FleetwireError('not_found', 'NODE_MISSING', 'no such node', { help: 'Look again.' });

describe('output', () => {
  it('gives people lines and progress, machines one document', () => {
    const people = collected();
    const output = createOutput(false, people.streams);
    output.progress('working');
    output.result({ a: 1 }, () => ['one', 'two']);
    assert.deepEqual(people.text, { out: 'one\ntwo\n', err: 'working\n' });
    const machine = collected();
    const json = createOutput(true, machine.streams);
    json.progress('working');
    json.result({ a: 1 }, () => 'one');
    assert.deepEqual(machine.text, { out: '{\n  "a": 1\n}\n', err: '' });
  });
  it('says an error with what to do on stderr, and as the document', () => {
    const people = collected();
    assert.equal(reportError(fault, false, people.streams), 68);
    assert.deepEqual(people.text, {
      out: '',
      err: 'fleetwire: no such node (NODE_MISSING)\n  Look again.\n',
    });
    const machine = collected();
    reportError(fault, true, machine.streams);
    assert.deepEqual(JSON.parse(machine.text.out), {
      error: {
        kind: 'not_found',
        reason: 'NODE_MISSING',
        message: 'no such node',
        help: 'Look again.',
        details: {},
        retry_after_ms: null,
        violations: [],
      },
    });
  });
  it('says fields that do not fit one a line, and not twice', () => {
    const violations = [
      { field: 'policy.name', description: 'must not be empty' },
      { field: 'policy.rules', description: 'must have\u0007 at least one rule' },
    ];
    const say = (help: string) => {
      const people = collected();
      const error = new FleetwireError('invalid_argument', 'INVALID_POLICY', 'bad', { help, violations });
      assert.equal(reportError(error, false, people.streams), 64);
      return people.text.err.split('\n').slice(1, -1);
    };
    const lines = ['  policy.name must not be empty', '  policy.rules must have\\u{7} at least one rule'];
    assert.deepEqual(say('Mend it.'), [...lines, '  Mend it.']);
    const repeated = violations.map(({ field, description }) => `${field} ${description}`).join('; ');
    assert.deepEqual(say(repeated), lines);
  });
  it('puts the result and its error into one document', () => {
    const failed = new FailedResult(fault, { id: 'x' }, ['accepted x']);
    const machine = collected();
    assert.equal(reportError(failed, true, machine.streams), 68);
    const document = JSON.parse(machine.text.out);
    assert.deepEqual([document.id, document.error.reason], ['x', 'NODE_MISSING']);
    const people = collected();
    reportError(failed, false, people.streams);
    assert.equal(people.text.out, 'accepted x\n');
    assert.match(people.text.err, /no such node/);
  });
  it('exits by the error table for every kind', () => {
    for (const kind of ERROR_KINDS)
      assert.equal(
        reportError(new FleetwireError(kind, 'X', 'x'), false, collected().streams),
        ERROR_TABLE[kind].exit,
      );
    assert.equal(reportError(new Error('bug'), false, collected().streams), ERROR_TABLE.internal.exit);
  });
  it('carries an error from one process to another whole', () => {
    const violations = [{ field: 'a', description: 'is b' }];
    const extras = { help: 'Wait.', details: { x: 'y' }, violations, retryAfterMs: 5 };
    const document = errorDocument(new FleetwireError('aborted', 'X', 'x', extras));
    assert.deepEqual(errorDocument(errorOfDocument(JSON.parse(JSON.stringify(document)))), document);
  });
});

describe('text for a terminal', () => {
  it('makes columns and keeps control characters out', () => {
    assert.deepEqual(
      table(
        ['NAME', 'X'],
        [
          ['alice', 'y'],
          ['b\u0007', ''],
        ],
      ),
      ['NAME    X', 'alice   y', 'b\\u{7}'],
    );
    assert.equal(visible('a\u001b[31mb'), 'a\\u{1b}[31mb');
  });
  it('says how long ago', () => {
    const now = 1_000_000_000;
    const cases: [number, string][] = [
      [0, 'never'],
      [now, '0s ago'],
      [now + 5000, '0s ago'],
      [now - 119_000, '119s ago'],
      [now - 600_000, '10m ago'],
      [now - 7_200_000, '2h ago'],
      [now - 3 * 86_400_000, '3d ago'],
    ];
    for (const [at, text] of cases) assert.equal(ago(at, now), text);
  });
});
