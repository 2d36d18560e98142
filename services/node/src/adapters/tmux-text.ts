/** What is typed into a pane for a message: harmless to the terminal, found again by its marker. */

import { Buffer } from 'node:buffer';
import { harmless } from './harmless.ts';
import type { InjectedMessage } from './port.ts';

/** One submission: everything up to one press of Enter. */
export interface PanePart {
  /** `[fleetwire <marker>] <fromName>: `, or with the part's number `[fleetwire <marker> 2/3] <fromName>: `. */
  readonly header: string;
  readonly body: string;
}

/** How the pane's program reads: `line` is one line for each Enter, `raw` takes several lines at once. */
export type ReadingMode = { readonly kind: 'raw' } | { readonly kind: 'line'; readonly lineBytes: number };

/** Stands for a line break where the program would take the break as Enter. */
export const FOLD = ' ⏎ ';

/**
 * In line mode line breaks are folded, so that one message is one line and no line of a body can pass for a message
 * of its own; what exceeds the terminal's longest line (the rest would be cut off in silence) goes as numbered parts.
 */
export function renderForPane(message: InjectedMessage, mode: ReadingMode): readonly PanePart[] {
  const from = unforged(harmless(message.fromName)).replaceAll('\n', ' ');
  const text = bodyText(message);
  const header = `[fleetwire ${message.marker}] ${from}: `;
  if (mode.kind === 'raw') return [{ header, body: text }];
  const folded = text.replaceAll('\n', FOLD);
  if (Buffer.byteLength(header + folded) <= mode.lineBytes) return [{ header, body: folded }];
  // Room for " 1234/1234".
  const room = mode.lineBytes - Buffer.byteLength(header) - 10;
  const pieces = cutByBytes(folded, Math.max(room, 64));
  return pieces.map((body, i) => ({
    header: `[fleetwire ${message.marker} ${i + 1}/${pieces.length}] ${from}: `,
    body,
  }));
}

/** Finds the last part's header, however many parts there were. */
export function markerPattern(marker: string): RegExp {
  return new RegExp(`\\[fleetwire\\s+${marker}(?:\\s+(\\d+)/\\1)?\\]`);
}

function bodyText(message: InjectedMessage): string {
  const buffer = Buffer.from(message.body.buffer, message.body.byteOffset, message.body.byteLength);
  const text = buffer.toString('utf8');
  if (text.includes('\ufffd') && Buffer.compare(Buffer.from(text), buffer) !== 0) {
    const type = harmless(message.contentType || 'bytes');
    return `(${type}, base64) ${buffer.toString('base64')}`;
  }
  return unforged(harmless(text)).replace(/\n+$/, '');
}

/** A body must not be able to forge the head of another message, nor the proof of one. */
function unforged(text: string): string {
  return text.replace(/\[fleetwire(?=\s)/gi, (found) => `(${found.slice(1)}`);
}

/** Pieces of at most `bytes` UTF-8 bytes, never within a character. */
export function cutByBytes(text: string, bytes: number): string[] {
  const pieces: string[] = [];
  let piece = '';
  let size = 0;
  for (const char of text) {
    const length = Buffer.byteLength(char);
    if (size + length > bytes && piece !== '') {
      pieces.push(piece);
      piece = '';
      size = 0;
    }
    piece += char;
    size += length;
  }
  if (piece !== '' || pieces.length === 0) pieces.push(piece);
  return pieces;
}
