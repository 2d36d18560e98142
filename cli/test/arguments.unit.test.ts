// Goal: option values are taken or refused with the range that would do; a command line is read as it is meant.
// Method: call the parsers; give command lines to the grammar and look at the error.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import {
  duration,
  either,
  moment,
  numberOrNone,
  oneOf,
  wholeNumber,
  words,
  wordsOrNone,
} from '../src/arguments.ts';
import { placeName } from '../src/commands/subscribe.ts';
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
  it('takes numbers below zero, and none for no limit', () => {
    const priority = wholeNumber('--priority', -10, 10);
    assert.deepEqual([priority('-10'), priority('0'), priority('10')], [-10, 0, 10]);
    for (const bad of ['-11', '11', '--1', '1.0', '', '-'])
      assert.throws(() => priority(bad), refuses(/-10 to 10/), bad);
    const limit = numberOrNone('--nodes', 100);
    assert.deepEqual([limit('0'), limit('100'), limit('none')], [0, 100, -1]);
    for (const bad of ['-1', '101', 'all', '']) assert.throws(() => limit(bad), refuses(/none/), bad);
  });
  it('takes one of two words for yes and no', () => {
    const parse = either('--sso', 'on', 'off');
    assert.deepEqual([parse('on'), parse('off')], [true, false]);
    assert.throws(() => parse('true'), refuses(/on, off/));
  });
  it('takes times with a unit, within their range', () => {
    const parse = duration('--ttl', '1m', '7d');
    const cases: [string, number][] = [
      ['60s', 60_000],
      ['15m', 900_000],
      ['2h', 7_200_000],
      ['7d', 604_800_000],
    ];
    for (const [text, ms] of cases) assert.equal(parse(text), ms, text);
    for (const bad of ['59s', '8d', '1', '1w', 'h', '1.5h', '-1h', '1h30m', ''])
      assert.throws(() => parse(bad), refuses(/from 1m to 7d/), bad);
  });
  it('takes moments as dates or as how long ago', () => {
    const parse = moment('--from', () => Date.UTC(2026, 0, 31, 12));
    const cases: [string, number][] = [
      ['2h', Date.UTC(2026, 0, 31, 10)],
      ['2026-01-01', Date.UTC(2026, 0, 1)],
      ['2026-01-01T06:30Z', Date.UTC(2026, 0, 1, 6, 30)],
      ['2026-01-01T06:30:15.5+01:00', Date.UTC(2026, 0, 1, 5, 30, 15, 500)],
    ];
    for (const [text, ms] of cases) assert.equal(parse(text), ms, text);
    for (const bad of ['yesterday', '2026', '2026-13-01', '31.1.2026', '1', ''])
      assert.throws(() => parse(bad), refuses(/2026-01-31/), bad);
  });
  it('takes words between commas, and more of them when given again', () => {
    assert.deepEqual(words('send, read,', ['admin']), ['admin', 'send', 'read']);
    assert.deepEqual(wordsOrNone('lead,qa-*'), ['lead', 'qa-*']);
    assert.deepEqual([wordsOrNone('none'), wordsOrNone('')], [[], []]);
  });
  it('takes names of places that lead nowhere else', () => {
    const name = placeName('--name');
    for (const good of ['billing', 'a', '0-9', 'x'.repeat(32)]) assert.equal(name(good), good);
    for (const evil of [
      '../evil',
      'a/b',
      '/evil',
      '..',
      '.',
      '',
      '-x',
      'Evil',
      'a b',
      'a\nb',
      'a\0',
      'é',
      'x'.repeat(33),
    ])
      assert.throws(() => name(evil), { kind: 'invalid_argument', reason: 'INVALID_OPTION' }, evil);
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
    const program = buildProgram();
    const namesOf = (command: typeof program, path: string): string[] =>
      command.commands.flatMap((sub) => {
        const own = path === '' ? sub.name() : `${path} ${sub.name()}`;
        // One with commands below it may do something itself as well.
        return [...(sub.commands.length === 0 || own === 'node token' ? [own] : []), ...namesOf(sub, own)];
      });
    const names = namesOf(program, '');
    const promised = [
      'up, down, status, cluster status, cluster join, cluster remove',
      'dead list, dead show, dead replay, dead drop',
      'subscribe, subscription create, subscription list, subscription close',
      'node start, node stop, node list, node status, node drain, node rotate-key, node remove, node adopt',
      'node token, node token list, node token revoke',
      'agent run, agent stop, agent token, agent list, agent rename, agent remove, agent move, who',
      'channel create, channel delete, channel list, channel members, channel join, channel leave',
      'group create, group delete, group list, group members, group join, group leave',
      'send, ask, inbox, trace, history, route explain, mcp, doctor, bootstrap, demo',
      'org show, org create, org use, org update, org history, org events, org transfer, org delete, org list, org restore',
      'member list, member role, member remove, member leave',
      'invite create, invite list, invite revoke, invite accept',
      'key create, key list, key revoke',
      'workspace list, workspace create, workspace update, workspace reassign, workspace delete',
      'workspace assign, workspace unassign',
      'policy list, policy create, policy update, policy delete, policy test',
      'plan show, plan list, plan set, plan limits, plan usage',
      'audit list, audit export',
    ];
    assert.deepEqual(names.sort(), promised.join(', ').split(', ').sort());
  });
});
