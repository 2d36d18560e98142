// Goal: people may say a name or an id; what is unknown is answered with the nearest, what is ambiguous with the ids;
// lists are read to their last page.
// Method: an org service of canned pages.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { describe, it } from 'mocha';
import { allRows } from '../src/all-pages.ts';
import type { OrgClient } from '../src/hub.ts';
import { findMember, inviteId, keyId, repoId, userId, workspaceId } from '../src/lookup.ts';

const id = (letter: string, n: number) => `${letter}_${String(n).padStart(16, '0')}`;

const fails = (reason: string, help: RegExp) => (error: unknown) =>
  error instanceof FleetwireError && error.reason === reason && help.test(error.help ?? '');

/** Two rows a page; the token is the index of the next row. */
function paged<R>(rows: readonly R[], name: string) {
  return async ({ pageToken }: { pageToken?: string }) => {
    const from = Number(pageToken || 0);
    const next = from + 2 < rows.length ? String(from + 2) : '';
    return { [name]: rows.slice(from, from + 2), nextPageToken: next };
  };
}

const MEMBERS = ['ann', 'bob', 'carol', 'dan'].map((name, n) => ({
  user: id('u', n),
  email: `${name}@Example.org`,
}));
const KEYS = [
  { id: id('k', 1), name: 'ci', revokedAtMs: 5 },
  { id: id('k', 2), name: 'ci', revokedAtMs: 0 },
  { id: id('k', 3), name: 'twice', revokedAtMs: 0 },
  { id: id('k', 4), name: 'twice', revokedAtMs: 0 },
];
const repo = (n: number, url: string) => ({ id: id('r', n), url });
const WORKSPACES = [
  { id: id('w', 1), name: 'app', repositories: [repo(1, 'https://g/app'), repo(2, 'https://g/lib')] },
  { id: id('w', 2), name: 'web', repositories: [repo(3, 'https://g/lib')] },
];
const asked: unknown[] = [];
const invites = paged([{ id: id('i', 1), email: 'eve@example.org' }], 'invites');

const door = {
  listMembers: paged(MEMBERS, 'members'),
  listApiKeys: paged(KEYS, 'keys'),
  listWorkspaces: paged(WORKSPACES, 'workspaces'),
  listInvites: (request: { pageToken?: string }) => {
    asked.push(request);
    return invites(request);
  },
} as unknown as OrgClient;

describe('what people call by a name', () => {
  it('is found on every page, regardless of case, or by its id', async () => {
    assert.equal((await findMember(door, 'DAN@example.ORG')).user, id('u', 3));
    assert.equal((await findMember(door, id('u', 3))).email, 'dan@Example.org');
    assert.equal(await workspaceId(door, 'web'), id('w', 2));
  });
  it('is not asked for when it is an id', async () => {
    assert.equal(await userId({} as OrgClient, id('u', 99)), id('u', 99));
  });
  it('is suggested when it is nearly right', async () => {
    await assert.rejects(
      findMember(door, 'caro@example.org'),
      fails('MEMBER_UNKNOWN', /mean carol@Example\.org/),
    );
    await assert.rejects(workspaceId(door, 'something'), fails('WORKSPACE_UNKNOWN', /workspace list/));
  });
  it('is refused with the ids when there are several', async () => {
    await assert.rejects(
      keyId(door, 'twice'),
      fails('NAME_AMBIGUOUS', new RegExp(`${id('k', 3)}, ${id('k', 4)}`)),
    );
    await assert.rejects(repoId(door, 'https://g/lib'), fails('NAME_AMBIGUOUS', /workspace list --json/));
    assert.equal(await repoId(door, 'https://g/app'), id('r', 1));
  });
  it('means a key that is not revoked, an invite that is open', async () => {
    assert.equal(await keyId(door, 'ci'), id('k', 2));
    assert.equal(await inviteId(door, 'eve@example.org'), id('i', 1));
    assert.equal((asked[0] as { status: string }).status, 'pending');
  });
});

describe('lists', () => {
  it('end where a limit says, and ask for no more than that', async () => {
    const sizes: number[] = [];
    const read = paged([1, 2, 3, 4, 5], 'rows');
    const rows = await allRows(
      async (page) => {
        sizes.push(page.pageSize);
        return (await read(page)) as unknown as { rows: number[]; nextPageToken: string };
      },
      (page) => page.rows,
      3,
    );
    assert.deepEqual(
      [rows, sizes],
      [
        [1, 2, 3],
        [3, 3],
      ],
    );
  });
});
