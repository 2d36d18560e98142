/** What orgs should be after each call, and what each call should be answered with: told from the rules, not from the code. */

export type Role = 'owner' | 'admin' | 'member';

export interface ModelKey {
  readonly id: string;
  readonly secret: string;
  readonly user: string;
  readonly scopes: readonly string[];
  revoked: boolean;
  /** The last token that was made of it and is good. */
  token: string;
}

export interface ModelMember {
  readonly user: string;
  readonly email: string;
  role: Role;
  version: number;
}

export interface ModelInvite {
  readonly id: string;
  readonly secret: string;
  /** Empty: for whoever has the link. */
  readonly email: string;
  readonly role: Role;
  readonly by: string;
  state: 'open' | 'used' | 'revoked';
}

export interface ModelWorkspace {
  readonly id: string;
  readonly name: string;
  readonly agentsMax: number;
  user: string;
  suspended: boolean;
}

const EVERYTHING = ['admin', 'account', 'send', 'read', 'node-join'];
const ROOM: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  free: { members: 1, workspaces: 1, agents: 3 },
  pro: { members: 5, workspaces: 5, agents: 20 },
};
const SEATS_MIN: Readonly<Record<string, number>> = { pro: 1, team: 3 };

export class ModelOrg {
  readonly id: string;
  readonly slug: string;
  plan: string;
  status: 'active' | 'deleting' | 'deleted' = 'active';
  deletion = 0;
  /** In the order in which they joined. While the org is deleted: those who come back with it. */
  members: ModelMember[] = [];
  workspaces: ModelWorkspace[] = [];
  policies: { readonly subject: string; readonly name: string }[] = [];
  readonly invites: ModelInvite[] = [];
  readonly keys: ModelKey[] = [];
  readonly oldTokens: string[] = [];
  /** Agent to id of the workspace. */
  readonly assignments = new Map<string, string>();

  constructor(id: string, slug: string, plan: string) {
    this.id = id;
    this.slug = slug;
    this.plan = plan;
  }

  member(user: string): ModelMember | undefined {
    return this.members.find((member) => member.user === user);
  }

  get owner(): ModelMember {
    return this.members.find(({ role }) => role === 'owner')!;
  }

  get openInvites(): ModelInvite[] {
    return this.invites.filter(({ state }) => state === 'open');
  }

  /** What the provider is to bill. */
  get bill(): readonly string[] {
    const least = SEATS_MIN[this.plan];
    if (this.status !== 'active' || least === undefined) return [];
    return [`price_${this.plan}:${Math.max(least, this.members.length)}`];
  }

  /** Is there room for one more, when there are so many? */
  hasRoom(what: 'members' | 'workspaces' | 'agents', present: number): boolean {
    const room = ROOM[this.plan]?.[what];
    return room === undefined || present < room;
  }

  /** Why the key cannot be exchanged; undefined: it can. */
  exchangeRefusal(key: ModelKey): string | undefined {
    if (key.revoked) return 'API_KEY_REVOKED';
    return this.status === 'active' ? undefined : 'ORG_CLOSED';
  }

  /** An admin's key is worth all that the role of today may do. */
  scopesOf(key: ModelKey): string[] {
    const role = this.member(key.user)?.role;
    const own = key.scopes.includes('admin') ? EVERYTHING : key.scopes;
    return role === 'member' ? own.filter((scope) => scope !== 'admin') : [...own];
  }

  /** What is asked before the call itself is looked at. Whoever is no member has no token to call with. */
  refusal(key: ModelKey, scope: string, roles: readonly Role[]): string | undefined {
    const role = this.member(key.user)?.role;
    if (!this.scopesOf(key).includes(scope)) return 'SCOPE_MISSING';
    return role === undefined || roles.includes(role) ? undefined : 'ROLE_TOO_LOW';
  }

  /** Why the caller may not act on what belongs to `user`; others' need a role and a key that reach further. */
  foreign(key: ModelKey, user: string): string | undefined {
    const role = this.member(key.user)?.role;
    if (user === key.user || role === undefined) return undefined;
    if (role === 'member') return 'ROLE_TOO_LOW';
    return this.scopesOf(key).includes('admin') ? undefined : 'SCOPE_MISSING';
  }

  /** Could nobody administrate the org without this key? */
  isLastAdminKey(key: ModelKey): boolean {
    const able = this.keys.filter(({ user, revoked, scopes }) => {
      const role = this.member(user)?.role ?? 'member';
      return !revoked && scopes.includes('admin') && role !== 'member';
    });
    return able.length === 1 && able[0] === key;
  }

  join(user: string, email: string, role: Role): void {
    this.members.push({ user, email, role, version: 1 });
  }

  setRole(user: string, role: Role): void {
    const member = this.member(user)!;
    if (member.role === 'admin' && role === 'member') {
      this.revokeInvitesOf(user);
      this.revokeTokens((key) => key.user === user);
    }
    member.role = role;
    member.version += 1;
  }

  /** Whatever somebody leaves behind who is no member any more. */
  part(user: string): void {
    this.members = this.members.filter((member) => member.user !== user);
    for (const key of this.keys) if (key.user === user) key.revoked = true;
    this.revokeTokens((key) => key.user === user);
    for (const workspace of this.workspaces) if (workspace.user === user) workspace.suspended = true;
    this.policies = this.policies.filter(({ subject }) => subject !== user);
    this.revokeInvitesOf(user);
  }

  /** What was made of these keys until now is worth nothing any more. */
  revokeTokens(which: (key: ModelKey) => boolean): void {
    for (const key of this.keys) {
      if (!which(key) || key.token === '') continue;
      this.oldTokens.push(key.token);
      key.token = '';
    }
  }

  revokeInvitesOf(user: string): void {
    for (const invite of this.openInvites) if (invite.by === user) invite.state = 'revoked';
  }

  /** The admin who takes over from a leaving owner; undefined: nobody could. */
  get heir(): ModelMember | undefined {
    return this.members.find(({ role }) => role === 'admin');
  }

  dropWorkspace(id: string): void {
    this.workspaces = this.workspaces.filter((workspace) => workspace.id !== id);
    this.policies = this.policies.filter(({ subject }) => subject !== id);
    for (const [agent, at] of this.assignments) if (at === id) this.assignments.delete(agent);
  }

  close(): void {
    this.status = 'deleted';
    this.assignments.clear();
    for (const invite of this.openInvites) invite.state = 'revoked';
  }

  /** Before the registry has done its part nothing was lost yet. */
  reopen(): void {
    if (this.status === 'deleted') for (const member of this.members) member.version = 1;
    this.status = 'active';
  }
}

export class Model {
  readonly orgs: ModelOrg[] = [];
  /** Addresses of the people who come and go. */
  readonly people: readonly string[];
  /** Everybody who ever was a member of anything, with their address. */
  readonly users = new Map<string, string>();

  constructor(people: readonly string[]) {
    this.people = people;
  }
}
