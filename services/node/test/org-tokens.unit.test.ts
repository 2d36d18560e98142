/** Goal: a node never takes a token that it was once told to refuse. Method: laws over what it may be told, in any order. */

import assert from 'node:assert/strict';
import type { Revocation } from '@fleetwire/gen/access';
import { Event } from '@fleetwire/gen/event';
import type { Caller } from '@fleetwire/identity';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { OrgTokens } from '../src/domain/org-tokens.ts';
import { hearEvent } from '../src/hub/hear-event.ts';

const ORG = 'o_1';
const DAY_MS = 86_400_000;
const NOW_MS = 100 * DAY_MS;

function tokens(max = 1000, remembered?: string) {
  const kept: string[] = [];
  const made = new OrgTokens({
    org: ORG,
    max,
    nowMs: () => NOW_MS,
    changed: (text) => void kept.push(text),
  });
  made.restore(remembered);
  return { tokens: made, kept };
}
const token = (user: string, key: string, issuedAtMs: number): Caller => ({
  kind: 'user',
  org: ORG,
  scopes: [],
  subject: user,
  key,
  issuedAtMs,
});
const reason = (of: OrgTokens, user: string, key: string, atMs: number) =>
  of.refusal(token(user, key, atMs))?.reason ?? 'none';
const revocation = (kind: string, subject: string, issuedUntilMs: number): Revocation => ({
  kind,
  subject,
  issuedUntilMs,
});

const someRevocations = fc.array(
  fc.record({
    kind: fc.constantFrom('user', 'key'),
    subject: fc.constantFrom('1', '2', '3', '4', '5'),
    issuedUntilMs: fc.integer({ min: NOW_MS - DAY_MS, max: NOW_MS + 50 }),
  }),
  { maxLength: 20 },
);

describe('tokens of the org of a node', () => {
  it('that one revocation covers are refused for good, whatever else is told, and beyond the bound', () => {
    const law = fc.property(fc.array(someRevocations), fc.integer({ min: 2, max: 12 }), (told, max) => {
      const { tokens: known, kept } = tokens(max);
      for (const batch of told) known.learn(batch);
      const { tokens: restored } = tokens(max, kept.at(-1));
      for (const { kind, subject, issuedUntilMs } of told.flat()) {
        const [user, key] = kind === 'user' ? [subject, 'other'] : ['other', subject];
        for (const each of [known, restored])
          assert.equal(reason(each, user, key, issuedUntilMs), 'TOKEN_REVOKED');
      }
      assert.equal(reason(known, '1', '1', NOW_MS + 51), 'none');
      assert.ok(JSON.parse(kept.at(-1) ?? '{"revocations":[]}').revocations.length <= max);
    });
    fc.assert(law);
  });

  it('that nothing covers are good, within the bound', () => {
    const { tokens: known } = tokens();
    known.learn([revocation('user', 'u_1', NOW_MS), revocation('key', 'k_1', NOW_MS)]);
    assert.equal(reason(known, 'u_2', 'k_2', 1), 'none');
    assert.equal(reason(known, 'u_1', 'k_2', NOW_MS + 1), 'none');
    known.learn([revocation('org', '', NOW_MS)]);
    assert.equal(reason(known, 'u_2', 'k_2', NOW_MS), 'TOKEN_REVOKED');
  });

  it('are remembered only for as long as a token lives, and only changes are kept', () => {
    const { tokens: known, kept } = tokens();
    known.learn([revocation('user', 'u_1', NOW_MS - 3 * DAY_MS)]);
    known.learn([]);
    assert.deepEqual(kept, []);
    known.learn([revocation('user', 'u_1', NOW_MS)]);
    known.learn([revocation('user', 'u_1', NOW_MS), revocation('user', 'u_1', NOW_MS - 1)]);
    assert.equal(kept.length, 1);
  });

  it('are refused while the org is closed, and good again when it is restored', () => {
    const { tokens: known, kept } = tokens();
    known.learn([], 'deleting');
    known.learn([]);
    assert.equal(reason(known, 'u_1', 'k_1', NOW_MS), 'ORG_CLOSED');
    assert.equal(reason(tokens(5, kept[0]).tokens, 'u_1', 'k_1', NOW_MS), 'ORG_CLOSED');
    known.learn([], 'active');
    assert.equal(reason(known, 'u_1', 'k_1', NOW_MS), 'none');
  });

  it('are not touched by what cannot be read', () => {
    const { tokens: known, kept } = tokens(5, '{"status":');
    const details = { kind: 'user', subject: 'u_1', issued_until_ms: String(NOW_MS) };
    const tell = (subject: string, of: Record<string, string>) =>
      hearEvent(known, subject, Event.encode(Event.fromPartial({ details: of })).finish());
    const subject = 'fw.v1.event.o_1.org.tokens_revoked';
    hearEvent(known, subject, new Uint8Array([0xff]));
    tell('fw.v1.event.o_1.org.member_removed', details);
    tell(subject, {});
    tell(subject, { ...details, kind: 'planet' });
    tell(subject, { ...details, issued_until_ms: 'soon' });
    assert.deepEqual(kept, []);
    tell(subject, details);
    assert.equal(reason(known, 'u_1', 'k_1', NOW_MS), 'TOKEN_REVOKED');
  });
});
