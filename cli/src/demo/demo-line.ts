/** What the demo's agent understands of a line, and what it says to it: no input or output. */

import { isName, keepNewest } from '@fleetwire/kernel';

export type DemoLine =
  | { readonly kind: 'message'; readonly marker: string; readonly from: string; readonly text: string }
  /** One of several parts of a message; the parts come in order. */
  | {
      readonly kind: 'part';
      readonly marker: string;
      readonly from: string;
      readonly text: string;
      readonly number: number;
      readonly of: number;
    }
  | { readonly kind: 'send'; readonly to: string; readonly text: string }
  | { readonly kind: 'quit' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'other' };

const HEAD = /^\[fleetwire ([0-9a-z]{8})(?: (\d{1,6})\/(\d{1,6}))?\] ([^:]{1,50}): ?(.*)$/s;
const SEND = /^@(\S+)\s+(.+)$/s;

export function readDemoLine(line: string): DemoLine {
  const head = HEAD.exec(line);
  if (head !== null) {
    const [, marker, number, of, from, text] = head as unknown as string[];
    const base = { marker: marker!, from: from!, text: text! };
    if (!isName(base.from)) return { kind: 'other' };
    if (number === undefined) return { kind: 'message', ...base };
    return { kind: 'part', ...base, number: Number(number), of: Number(of) };
  }
  const trimmed = line.trim();
  if (trimmed === '') return { kind: 'empty' };
  if (trimmed === '/quit') return { kind: 'quit' };
  const send = SEND.exec(trimmed);
  return send === null ? { kind: 'other' } : { kind: 'send', to: send[1]!, text: send[2]! };
}

/** Does the text want an answer? */
export function asksSomething(text: string): boolean {
  const trimmed = text.trim();
  return /^ask:/i.test(trimmed) || trimmed.endsWith('?');
}

/** Never a question itself, so that two of these agents do not talk for ever. */
export function answerTo(name: string, marker: string, text: string, taken: number): string {
  const question = text
    .trim()
    .replace(/^ask:\s*/i, '')
    .replace(/\s+/g, ' ');
  const short = question.length > 60 ? `${question.slice(0, 57)}...` : question;
  return `re ${marker}: you said "${short}". ${name} has taken up ${taken} so far.`;
}

/** Puts the parts of long messages together, for a few senders at a time. */
export class PartCollector {
  readonly #texts = new Map<string, { next: number; text: string }>();

  /** The whole text with the last part; undefined before, and when a part is missing. */
  add(part: Extract<DemoLine, { kind: 'part' }>): string | undefined {
    const open = this.#texts.get(part.marker) ?? { next: 1, text: '' };
    if (part.number !== open.next || part.number > part.of) {
      this.#texts.delete(part.marker);
      return undefined;
    }
    open.text += part.text;
    open.next++;
    if (part.number < part.of) {
      this.#texts.set(part.marker, open);
      keepNewest(this.#texts, 16);
      return undefined;
    }
    this.#texts.delete(part.marker);
    return open.text;
  }
}
