// Goal: an invitation says what it must, and nothing that people wrote can become more than text in it.
// Method: pure; hostile strings in every field.

import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { type Invitation, letter } from '../../src/mail/letter.ts';

const URL = `https://hub.test/invite/fwi_${'s'.repeat(43)}`;
const plain: Invitation = {
  orgName: 'Acme & Sons',
  inviterEmail: 'alice@acme.test',
  role: 'member',
  url: URL,
  expiresAtMs: Date.UTC(2026, 2, 7, 14, 5),
  note: '',
};

describe('an invitation', () => {
  it('says who, where to, as what, until when, and how', () => {
    const { subject, text, html } = letter({ ...plain, note: 'Hi!\r\nSee you.' });
    assert.equal(subject, 'An invitation to Acme & Sons on Fleetwire');
    assert.equal(
      text,
      `You are invited to join Acme & Sons on Fleetwire as a member, by a member who goes by alice@acme.test there.

Accept the invite:
${URL}

alice@acme.test writes:
> Hi!
> See you.

The link can be used once, until 7 March 2026 at 14:05 UTC.
If you do not know what this is about, ignore this letter; nothing happens then.
`,
    );
    assert.ok(html.includes(`<a href="${URL}"`));
    assert.ok(html.includes('Acme &amp; Sons'));
    assert.ok(html.includes('Hi!<br>See you.'));
    assert.match(letter({ ...plain, role: 'admin' }).text, /as an admin,/);
    assert.doesNotMatch(letter({ ...plain, note: ' \n ' }).text, /writes:/);
  });

  it('keeps hostile names and notes in their places', () => {
    const nasty =
      'x\r\nBcc: victim@test\n\u2028\u202ehttps://evil.test/invite/x\n<script>alert(1)</script>\x00';
    const { subject, text, html } = letter({ ...plain, orgName: nasty, inviterEmail: nasty, note: nasty });
    assert.doesNotMatch(subject, /[\p{Cc}\u2028\u202e]/u);
    assert.doesNotMatch(text, /^(Bcc|https:\/\/evil)/m);
    assert.match(text, /^> Bcc: victim@test$/m);
    assert.doesNotMatch(html, /<script/);
    assert.ok(html.includes('&lt;script&gt;'));
  });

  it('has a subject of bounded length that breaks no character', () => {
    const { subject } = letter({ ...plain, orgName: '😀'.repeat(300) });
    assert.equal(Array.from(subject).length, 200);
    assert.ok(subject.isWellFormed());
  });

  it('has one line that is a link, whatever anyone wrote', () => {
    const any = fc.string({
      unit: fc.constantFrom('a', '\n', '\r', '\u2028', '\x85', '\v', ' ', URL, '<', '"'),
    });
    fc.assert(
      fc.property(any, any, any, (orgName, inviterEmail, note) => {
        const { subject, text, html } = letter({ ...plain, orgName, inviterEmail, note });
        assert.doesNotMatch(subject, /[\r\n\u2028\x85\v]/);
        const lines = text.split(/[\r\n\u2028\x85\v]/);
        assert.equal(lines.filter((line) => /^https?:\S+$/.test(line)).length, 1);
        assert.equal(html.split('<a ').length, 2);
        assert.doesNotMatch(html, /<(?!\/?(!doctype|html|head|meta|body|p|a|blockquote|br)\b)/);
      }),
    );
  });
});
