/**
 * Goal: what people write comes back as it went in, wherever it is shown, and never becomes part of a statement, a header or
 * a pattern. Method: texts that are dangerous elsewhere, through every field, out of every answer.
 */

import assert from 'node:assert/strict';
import { eventually } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import type { Operation } from '../src/domain/permissions.ts';
import { errorOf, type OrgWorld, type Person, secretOf, startOrgWorld } from './fixture.ts';
import { invoke } from './matrix-calls.ts';

const LINES = [
  `O'Brien "and" sons \`;`,
  `'; drop table orgs; --`,
  `x' or '1'='1' /*`,
  '$1 $2 #{x} {{x}}',
  '%s %d %n %00',
  '\\x00 \\u0000 \\\\',
  '<script>alert(1)</script>',
  '../../etc/passwd',
  'null',
  '\u202eright to left\u200f \u0627\u0644',
  'e\u0301 and \u00e9',
  '\u{1f469}\u200d\u{1f469}\u200d\u{1f467} \u{1f600}',
];
const TEXTS = [...LINES, 'X\r\nBcc: evil@example.org', 'a\tb\n\nc\u2028d', ''];

describe('texts', function () {
  this.timeout(60_000);
  let world: OrgWorld;
  let boss: Person;
  let org: string;
  before(async () => {
    world = await startOrgWorld();
    const service = await world.start();
    ({ id: org, owner: boss } = await world.otherOrg(service, 'texts'));
  });
  after(() => world?.[Symbol.asyncDispose]());

  it('of orgs come back as they went in, also from the audit and its export', async () => {
    const { client } = boss;
    for (const name of LINES) {
      assert.equal((await client.createOrg({ name })).org!.name, name);
      const { version } = (await client.getOrg({})).org!;
      assert.equal((await client.updateOrg({ version, name })).org!.name, name);
      assert.equal((await client.getOrg({})).org!.name, name);
    }
    const filter = { action: 'org.update' };
    const listed = (await client.listAudit({ filter })).entries.map((entry) => entry.details['name']);
    assert.deepEqual(listed.reverse(), LINES);
    const exported: unknown[] = [];
    for await (const { entries } of client.exportAudit({ filter }))
      exported.push(...entries.map((entry) => entry.details['name']));
    assert.deepEqual(exported, LINES);
  });

  it('of workspaces, keys and invites come back as they went in', async () => {
    const { client } = boss;
    for (const text of LINES) {
      const repositories = [{ url: text, defaultBranch: text }];
      const { workspace: made } = await client.createWorkspace({ name: text, repositories });
      const { id, version } = made!;
      const repo = { ...repositories[0], id: made!.repositories[0]!.id };
      assert.deepEqual([made!.name, made!.repositories], [text, [repo]]);
      const wanted = { id, version, name: `${text}!`, repositories: { repositories: [repo] } };
      const { workspace } = await client.updateWorkspace(wanted);
      assert.deepEqual([workspace!.name, workspace!.repositories], [`${text}!`, [repo]]);
      const { workspaces } = await client.listWorkspaces({});
      assert.deepEqual(
        workspaces.find((found) => found.id === id),
        workspace,
      );
      const { key } = await client.createApiKey({ name: text, scopes: ['send'] });
      const { keys } = await client.listApiKeys({});
      assert.deepEqual([key!.name, keys.find((found) => found.id === key!.id)!.name], [text, text]);
    }
    for (const note of TEXTS) {
      const { invite, url } = await client.createInvite({ note });
      const { invites } = await client.listInvites({});
      const looked = await client.lookInvite({ secret: secretOf(url) });
      const shown = invites.find((found) => found.id === invite!.id)!;
      assert.deepEqual([invite!.note, shown.note, looked.note], [note, note, note]);
    }
  });

  it('of policies come back as they went in, also from what is published and from a test', async () => {
    const { client } = boss;
    for (const [i, name] of LINES.entries()) {
      const tool = name.replaceAll(' ', '_').replaceAll(/[\u200d-\u202e]/g, '');
      const rules = [{ agents: '*', allowedTools: { patterns: [tool] } }];
      const policy = { level: 'org', name, description: TEXTS[i + 3]!, priority: i, rules };
      const { policy: made } = await client.createPolicy({ policy });
      assert.deepEqual([made!.name, made!.description], [name, policy.description]);
      const description = TEXTS.at(-i)!;
      const { policy: updated } = await client.updatePolicy({ policy: { ...made!, description } });
      assert.deepEqual([updated!.name, updated!.description], [name, description]);
      const { policies } = await client.listPolicies({});
      assert.deepEqual(
        policies.find((found) => found.id === made!.id),
        updated,
      );
      const decision = await client.testPolicy({ action: 'tool', actor: 'alice', target: tool });
      assert.deepEqual([decision.matchedPolicyName, decision.allowed], [name, true], tool);
    }
    const { policies } = await client.listPolicies({});
    await eventually(async () => {
      assert.deepEqual((await world.published(org))?.policies, policies);
      return true;
    });
  });

  it('are no patterns and no statements where they choose what is listed', async () => {
    const { client } = boss;
    const found = await client.listMembers({ emailContains: 'OWNER@' });
    assert.equal(found.members.length, 1);
    for (const text of [...LINES, '%', '_', 'owner%texts']) {
      assert.deepEqual((await client.listMembers({ emailContains: text })).members, [], text);
      assert.deepEqual((await client.listInvites({ status: text })).invites, [], text);
      assert.deepEqual((await client.listAudit({ filter: { actor: text } })).entries, [], text);
      assert.deepEqual((await client.listAudit({ filter: { action: text } })).entries, [], text);
    }
  });

  it('that nothing can be called by are unknown, whatever they are', async () => {
    const { client } = boss;
    const rules = [{ agents: '*', maxSpawns: 1 }];
    for (const id of [...LINES, 'a\0b', '\0', 'x'.repeat(100_000)]) {
      const tries: [Operation, object, string[]][] = [
        ['getOrg', { org: id }, ['ORG_UNKNOWN']],
        ['removeMember', { user: id }, ['MEMBER_UNKNOWN']],
        ['revokeInvite', { id }, ['INVITE_UNKNOWN']],
        ['deleteWorkspace', { id }, ['WORKSPACE_UNKNOWN']],
        ['revokeApiKey', { id }, ['API_KEY_UNKNOWN']],
        ['deletePolicy', { id }, ['POLICY_UNKNOWN']],
        ['createPolicy', { policy: { level: 'user', subject: id, name: 'x', rules } }, ['MEMBER_UNKNOWN']],
        ['createPolicy', { policy: { level: 'repo', subject: id, name: 'x', rules } }, ['REPO_UNKNOWN']],
        ['listMembers', { role: id }, []],
        ['listWorkspaces', { user: id }, []],
        ['listPolicies', { subject: id }, []],
        ['listAudit', { filter: { target: id } }, []],
      ];
      for (const [operation, request, expected] of tries) {
        const error = await errorOf(invoke(client, operation, request));
        const fits = [...expected, ...(id.includes('\0') ? ['INVALID_TEXT'] : [])];
        assert.ok(
          fits.length === 0 ? error === undefined : error !== undefined || id.includes('\0'),
          operation,
        );
        if (error !== undefined)
          assert.ok(fits.includes(error.reason), `${operation}: ${error.reason} ${error.message}`);
      }
    }
    assert.equal((await client.listMembers({})).members.length, 1);
  });
});
