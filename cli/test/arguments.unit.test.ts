// Goal: option values are taken or refused with the range that would do; a command line is read as it is meant.
// Method: call the parsers; give command lines to the grammar and look at the error.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { oneOf, wholeNumber } from '../src/arguments.ts';
import { buildProgram } from '../src/program.ts';

const refuses = (help: RegExp) => (error: unknown) =>
  error instanceof FleetwireError && error.reason === 'INVALID_OPTION' && help.test(error.help ?? '');

describe('option values', () => {
  it('takes whole numbers within their range', () => {
    const parse = wholeNumber('--ttl', 1, 3600);
    assert.equal(parse('1'), 1);
    assert.equal(parse('3600'), 3600);
    for (const bad of ['0', '3601', '-1', '1.5', '1e3', '0x10', '', ' 5', 'abc', '9'.repeat(400)])
      assert.throws(() => parse(bad), refuses(/from 1 to 3600/), bad);
  });
  it('takes one of several words', () => {
    const parse = oneOf('--adapter', ['tmux', 'stdio']);
    assert.equal(parse('tmux'), 'tmux');
    assert.throws(() => parse('TMUX'), refuses(/tmux, stdio/));
  });
  it('shows what was given without its control characters', () => {
    assert.throws(
      () => wholeNumber('--ttl', 1, 2)('\u001b[2J'),
      (error: Error) => !error.message.includes('\u001b') && error.message.includes('\\u{1b}'),
    );
  });
});

describe('the grammar', () => {
  it('has --json and --context on every command', () => {
    const walk = (command: ReturnType<typeof buildProgram>): void => {
      const options = command.options.map((option) => option.long);
      assert.ok(options.includes('--json') && options.includes('--context'), command.name());
      command.commands.forEach(walk);
    };
    walk(buildProgram());
  });
  it('has the commands that are promised', () => {
    const names = buildProgram().commands.flatMap((command) =>
      command.commands.length === 0
        ? [command.name()]
        : command.commands.map((sub) => `${command.name()} ${sub.name()}`),
    );
    const promised =
      'up, down, status, node start, node stop, node list, agent run, agent stop, agent list, who, send, inbox, ' +
      'trace, doctor, bootstrap, demo';
    assert.deepEqual(names.sort(), promised.split(', ').sort());
  });
});
