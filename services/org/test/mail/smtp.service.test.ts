// Goal: a letter leaves as it was written, to one recipient, and a refusal is told apart from a bad moment.
// Method: a real SMTP server on loopback that checks passwords, refuses at each step, hangs, or is not there.

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { tempFolder } from '@fleetwire/testkit';
import { describe, it } from 'mocha';
import { letter } from '../../src/mail/letter.ts';
import { createLogMailer } from '../../src/mail/log.ts';
import type { OutgoingLetter } from '../../src/mail/mailer.ts';
import { createSmtpMailer, type SmtpOptions } from '../../src/mail/smtp.ts';
import { refusal, startSmtp } from './smtp-world.ts';

const LETTER: OutgoingLetter = {
  to: 'bob@acme.test',
  subject: 'Hello',
  text: 'text\n',
  html: '<p>html</p>',
  messageId: 'i_1',
};

async function send(
  options: Partial<SmtpOptions> & Pick<SmtpOptions, 'url'>,
  sent: Partial<OutgoingLetter> = {},
): Promise<void> {
  const mailer = createSmtpMailer({ from: 'Fleet <fleet@hub.test>', timeoutMs: 20_000, ...options });
  try {
    await mailer.send({ ...LETTER, ...sent });
  } finally {
    await mailer.close();
  }
}

describe('a letter by SMTP', () => {
  it('arrives with sender, recipient, both texts and a stable id', async () => {
    await using smtp = await startSmtp();
    await send(smtp);
    await send(smtp);
    const [first, second] = smtp.taken;
    assert.equal(first!.from, 'fleet@hub.test');
    assert.deepEqual(first!.to, ['bob@acme.test']);
    assert.equal(first!.field('from'), 'Fleet <fleet@hub.test>');
    assert.equal(first!.field('to'), 'bob@acme.test');
    assert.equal(first!.field('subject'), 'Hello');
    assert.equal(first!.field('message-id'), '<i_1@hub.test>');
    assert.equal(second!.field('message-id'), '<i_1@hub.test>');
    assert.equal(first!.field('auto-submitted'), 'auto-generated');
    assert.match(first!.raw, /text\/plain[\s\S]*text\/html/);
  });

  const hostile = [
    'x\r\nBcc: victim@evil.test',
    'x\nBcc: victim@evil.test\n\nbody',
    'x\r\n\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<victim@evil.test>',
    '=?utf-8?Q?x=0D=0ABcc:_victim@evil.test?=',
    'x\u2028Bcc: victim@evil.test\u0085\0',
  ];
  for (const text of hostile)
    it(`keeps ${JSON.stringify(text)} out of its header and envelope`, async () => {
      await using smtp = await startSmtp();
      const inviterEmail = 'alice@acme.test';
      const url = 'https://hub.test/invite/x';
      const written = letter({
        orgName: text,
        inviterEmail,
        role: 'member',
        url,
        expiresAtMs: 0,
        note: text,
      });
      await send(smtp, written);
      await send(smtp, { subject: text, text, html: text });
      await send({ ...smtp, from: `${text.replaceAll(/[<>]/g, '')} <fleet@hub.test>` });
      assert.equal(smtp.taken.length, 3);
      const expected = smtp.taken[2]!.fields;
      for (const taken of smtp.taken) {
        assert.deepEqual(taken.to, ['bob@acme.test']);
        assert.deepEqual(taken.fields, expected);
        assert.ok(!taken.fields.includes('bcc'));
      }
    });

  const addresses = [
    'a@b.c, victim@evil.test',
    'a@b.c\r\nBcc: x@y',
    '<a@b.c>',
    'a b@c',
    'a',
    '',
    'x@y> SIZE=1 <z@w',
  ];
  for (const to of addresses)
    it(`refuses to write to ${JSON.stringify(to)}`, async () => {
      await using smtp = await startSmtp();
      await assert.rejects(send(smtp, { to }), { reason: 'MAIL_REFUSED' });
      assert.deepEqual(smtp.taken, []);
    });

  it('reads no files and asks no addresses that a text names', async () => {
    await using smtp = await startSmtp();
    const text = { path: '/etc/passwd' } as unknown as string;
    await assert.rejects(send(smtp, { text }), { reason: 'MAIL_NOT_SENT' });
    assert.deepEqual(smtp.taken, []);
  });
});

describe('a mail server', () => {
  it('is logged in at, by password', async () => {
    const seen: unknown[] = [];
    await using smtp = await startSmtp(
      {},
      {
        authOptional: false,
        onAuth: ({ username, password }, _session, done) => {
          seen.push([username, password]);
          if (password === 'p@ss/word') done(null, { user: username });
          else done(refusal(535, 'no'));
        },
      },
    );
    const at = (user: string) => smtp.url.replace('//', `//${user}@`);
    await send({ url: at('me:p%40ss%2Fword') });
    assert.deepEqual(seen, [['me', 'p@ss/word']]);
    assert.equal(smtp.taken.length, 1);
    // Ours to mend: the letter is as good as before.
    await assert.rejects(send({ url: at('me:wrong') }), { reason: 'MAIL_NOT_SENT' });
    await assert.rejects(send({ url: smtp.url }), { reason: 'MAIL_NOT_SENT' });
  });

  for (const step of ['onSender', 'onRecipient', 'onLetter'] as const)
    it(`that refuses ${step} for now or for good is told apart`, async () => {
      let code = 451;
      await using smtp = await startSmtp({ [step]: () => refusal(code) });
      await assert.rejects(send(smtp), { kind: 'unavailable', reason: 'MAIL_NOT_SENT' });
      code = 550;
      await assert.rejects(send(smtp), { kind: 'failed_precondition', reason: 'MAIL_REFUSED' });
      assert.deepEqual(smtp.taken, []);
    });

  it('that does not want to talk, or is not there, is a bad moment', async () => {
    const smtp = await startSmtp({}, { onConnect: (_session, done) => done(refusal(554, 'go away')) });
    await assert.rejects(send(smtp), { reason: 'MAIL_NOT_SENT' });
    await smtp[Symbol.asyncDispose]();
    await assert.rejects(send(smtp), { reason: 'MAIL_NOT_SENT' });
  });

  it('that hangs is given up, and so is one when the caller no longer waits', async () => {
    const mute = createServer(() => undefined);
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const { port } = mute.address() as { port: number };
    const url = `smtp://127.0.0.1:${port}`;
    try {
      await assert.rejects(send({ url, timeoutMs: 100 }), {
        reason: 'MAIL_NOT_SENT',
        message: /within 100 ms/,
      });
      const signal = AbortSignal.abort();
      await assert.rejects(send({ url }, { signal }), { reason: 'MAIL_NOT_SENT' });
    } finally {
      await new Promise((resolve) => mute.close(resolve));
    }
  });

  it('is spoken to with TLS, by either way, and only when it is who it says', async () => {
    await using folder = tempFolder('smtp');
    const [key, cert] = [join(folder.path, 'key.pem'), join(folder.path, 'cert.pem')];
    const args = ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
    execFileSync('openssl', [...args, '-keyout', key, '-out', cert], { stdio: 'ignore' });
    const tls = { key: readFileSync(key), cert: readFileSync(cert) };
    await using direct = await startSmtp({}, { ...tls, secure: true });
    await using upgraded = await startSmtp({}, { ...tls, disabledCommands: [] });
    await using plain = await startSmtp();
    const lax = '?tls.rejectUnauthorized=false';
    for (const [smtp, url] of [
      [direct, `smtps://127.0.0.1:${direct.port}`],
      [upgraded, upgraded.url],
    ] as const) {
      await assert.rejects(send({ url }), { reason: 'MAIL_NOT_SENT' });
      await send({ url: url + lax });
      assert.equal(smtp.taken.length, 1);
    }
    await assert.rejects(send({ url: `${plain.url}?requireTLS=true` }), { reason: 'MAIL_NOT_SENT' });
    await send(plain);
  });

  it('must have a URL that can be one', () => {
    for (const url of ['http://x', 'smtp:', 'smtp://h?pool=true', 'smtp://h?sendmail=/bin/sh', 'nonsense'])
      assert.throws(
        () => createSmtpMailer({ url, from: 'a@b', timeoutMs: 1 }),
        { reason: 'INVALID_CONFIG' },
        url,
      );
    for (const from of ['', 'nobody', 'a@b, c@d', 'x <a@b> y'])
      assert.throws(() => createSmtpMailer({ url: 'smtp://h', from, timeoutMs: 1 }), {
        reason: 'INVALID_CONFIG',
      });
  });
});

describe('a letter without a mail server', () => {
  it('is in the log, with the link of the invite and no other', async () => {
    const logged: object[] = [];
    const mailer = createLogMailer({ info: (fields) => logged.push(fields) });
    const evil = 'x\nhttps://evil.test/invite/x\n';
    const url = 'https://hub.test/invite/s';
    const written = letter({
      orgName: evil,
      inviterEmail: evil,
      role: 'member',
      url,
      expiresAtMs: 0,
      note: evil,
    });
    await mailer.send({ ...LETTER, ...written });
    assert.deepEqual(logged, [{ to: 'bob@acme.test', subject: written.subject, link: url }]);
  });
});
