/** NATS header blocks as text, written and searched without building a map of them. */

import { FleetwireError } from '@fleetwire/kernel';
import type { Msg } from '@nats-io/nats-core';
import type { MsgImpl } from '@nats-io/nats-core/internal';

const FIRST_LINE = 'NATS/1.0\r\n';
const UNSAFE = /[\r\n]/;

/** One line of a block; '' when there is no value. Throws invalid_argument INVALID_HEADER for a line break in it. */
export function headerLine(name: string, value: string | undefined): string {
  if (value === undefined || value === '') return '';
  if (UNSAFE.test(value))
    throw new FleetwireError('invalid_argument', 'INVALID_HEADER', `the value of ${name} has a line break`);
  return `${name}: ${value}\r\n`;
}

/** Closes the lines to a block; '' when there are none. */
export function headerBlock(lines: string): string {
  return lines === '' ? '' : `${FIRST_LINE}${lines}\r\n`;
}

export function encodeHeaders(headers: Readonly<Record<string, string>> | undefined): string {
  let lines = '';
  if (headers !== undefined) for (const name in headers) lines += headerLine(name, headers[name]);
  return headerBlock(lines);
}

/** The raw header block of a message; '' when it has none. */
export function rawHeaders(message: Msg): string {
  const { _msg, _rdata } = message as MsgImpl;
  const length = _msg.hdr;
  if (length <= 0) return '';
  return Buffer.from(_rdata.buffer, _rdata.byteOffset, length).toString('utf8');
}

/** The first value of exactly this name; '' when it is not there. */
export function findHeader(block: string, name: string): string {
  const start = block.indexOf(`\r\n${name}:`);
  if (start === -1) return '';
  const from = start + name.length + 3;
  return block.slice(from, block.indexOf('\r\n', from)).trim();
}

/** The number in the first line, such as 503; 0 when the message is none of the server's own. */
export function statusOf(block: string): number {
  if (block.length < 12 || block.charCodeAt(8) !== 32) return 0;
  const code = Number(block.slice(9, 12));
  return Number.isInteger(code) ? code : 0;
}
