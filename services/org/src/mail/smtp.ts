/** Letters by SMTP: one connection for each, bounded in time, and nothing that a letter holds can become a header. */

import { isIP } from 'node:net';
import { FleetwireError } from '@fleetwire/kernel';
import { createTransport } from 'nodemailer';
import { type Mailer, mailNotSent, mailRefused } from './mailer.ts';

export interface SmtpOptions {
  /**
   * `smtps://user:password@host:port` (TLS) or `smtp://…` (STARTTLS where it is offered; required when there is a password
   * and the host is not this machine). Query: `requireTLS`, `ignoreTLS`, `tls.rejectUnauthorized`, `name` (of this side).
   */
  readonly url: string;
  /** `Name <user@host>` or `user@host`. */
  readonly from: string;
  /** For one letter, from connecting to the server's last word. */
  readonly timeoutMs: number;
}

/** Throws `invalid_argument` INVALID_CONFIG. */
export function createSmtpMailer(options: SmtpOptions): Mailer {
  const from = senderOf(options.from);
  const domain = from.address.slice(from.address.lastIndexOf('@') + 1);
  const { timeoutMs } = options;
  const closing = new AbortController();
  const transport = createTransport(
    {
      ...connectionOf(options.url),
      pool: false,
      connectionTimeout: timeoutMs,
      greetingTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      dnsTimeout: timeoutMs,
      disableFileAccess: true,
      disableUrlAccess: true,
    },
    { from },
  );
  return {
    async send({ to, subject, text, html, messageId, signal }) {
      if (!ADDRESS.test(to)) throw mailRefused('the address cannot be written in a letter');
      const late = AbortSignal.timeout(timeoutMs);
      try {
        await transport.sendMail({
          to: { name: '', address: to },
          // Not read from the header: one sender, one recipient, whatever the header says.
          envelope: { from: from.address, to: [to] },
          subject: oneLine(subject),
          text,
          ...(html === undefined ? {} : { html }),
          messageId: `<${messageId}@${domain}>`,
          headers: { 'Auto-Submitted': 'auto-generated' },
          signal: AbortSignal.any([closing.signal, late, ...(signal ? [signal] : [])]),
        });
      } catch (error) {
        // The library's own timers run as long: whichever is first, it is the same.
        throw late.aborted || codeOf(error) === 'ETIMEDOUT'
          ? mailNotSent(`the mail server did not take it within ${timeoutMs} ms`, error)
          : asMailError(error);
      }
    },
    close: () => {
      closing.abort();
      transport.close();
    },
  };
}

/** Nothing that separates addresses, names, parameters or lines. */
const ADDRESS = /^[^\s\p{C}"(),:;<>[\]\\@]+@[^\s\p{C}"(),:;<>[\]\\@]+$/u;
const oneLine = (text: string): string => text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();

function senderOf(text: string): { readonly name: string; readonly address: string } {
  const [, name, address] = /^([^<>]*)<([^<>]+)>$/.exec(text.trim()) ?? [undefined, '', text.trim()];
  if (!ADDRESS.test(address!)) throw invalid(`"${text}" is no sender`, 'Write it like Name <user@host>.');
  return { name: oneLine(name!).replace(/^"(.*)"$/, '$1'), address: address! };
}

const KNOWN = ['requireTLS', 'ignoreTLS', 'tls.rejectUnauthorized', 'name'];

function connectionOf(text: string) {
  const url = URL.parse(text);
  if (!url || !['smtp:', 'smtps:'].includes(url.protocol) || url.hostname === '')
    throw invalid('the URL of the mail server is none', 'Write it like smtps://user:password@host:465.');
  const unknown = [...url.searchParams.keys()].find((key) => !KNOWN.includes(key));
  if (unknown !== undefined)
    throw invalid(`the URL of the mail server has an unknown ${unknown}`, `Known are ${KNOWN.join(', ')}.`);
  const flag = (name: string) => url.searchParams.get(name);
  const secure = url.protocol === 'smtps:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const user = decodeURIComponent(url.username);
  const auth = user === '' ? undefined : { user, pass: decodeURIComponent(url.password) };
  const local = host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
  const name = flag('name');
  return {
    host,
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    secure,
    // Otherwise who sits in between takes the offer of STARTTLS away and is given the password.
    requireTLS:
      flag('requireTLS') === null ? auth !== undefined && !secure && !local : flag('requireTLS') === 'true',
    ignoreTLS: flag('ignoreTLS') === 'true',
    tls: { rejectUnauthorized: flag('tls.rejectUnauthorized') !== 'false' },
    ...(auth === undefined ? {} : { auth, forceAuth: true }),
    ...(name === null ? {} : { name }),
  };
}

function invalid(message: string, help: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'INVALID_CONFIG', message, { help });
}

/** What the server says of this very letter; what it says of us is for the operator to mend. */
const OF_THE_LETTER = new Set(['EENVELOPE', 'EMESSAGE']);
/** Authentication required, too weak, or failed. */
const OF_THE_LOGIN = new Set([530, 534, 535, 538]);

const codeOf = (thrown: unknown) => (thrown as { readonly code?: unknown } | undefined)?.code;

function asMailError(thrown: unknown): FleetwireError {
  if (!(thrown instanceof Error)) return mailNotSent(String(thrown), thrown);
  const { code, responseCode } = thrown as { readonly code?: string; readonly responseCode?: number };
  const said = `${thrown.message}`.slice(0, 500);
  const final =
    code !== undefined &&
    OF_THE_LETTER.has(code) &&
    responseCode !== undefined &&
    responseCode >= 500 &&
    responseCode < 600 &&
    !OF_THE_LOGIN.has(responseCode);
  return final ? mailRefused(said, thrown) : mailNotSent(said, thrown);
}
