/** Reads what JetStream writes into the reply subject of each delivery, by hand: it is read once per message. */

export interface Delivery {
  /** 1 at the first delivery of this message by this consumer. */
  readonly deliveries: number;
  /** Of the stream. */
  readonly sequence: number;
  /** Of the consumer: grows by one with every delivery, redeliveries included. */
  readonly deliverySequence: number;
  /** Broker time, microseconds since the Unix epoch. */
  readonly storedAtUs: number;
  /** Messages that the consumer has left to deliver. */
  readonly pending: number;
}

const DOT = 46;
const ZERO = 48;
/** The time is in nanoseconds, more than a double holds: its last three digits are left out. */
const NANO_DIGITS = 3;

export function isAckSubject(subject: string): boolean {
  return subject.startsWith('$JS.ACK.');
}

/**
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<delivery sequence>.<time>.<pending>`, or with domain and
 * account hash before the stream and possibly a token at the end. Undefined when it is neither.
 */
export function readAckSubject(subject: string): Delivery | undefined {
  const first = startOfNumbers(subject);
  if (first === -1) return undefined;
  let at = first;
  const numbers = [0, 0, 0, 0, 0];
  for (let n = 0; n < 5; n++) {
    let end = subject.indexOf('.', at);
    if (end === -1) end = subject.length;
    const value = readDigits(subject, at, n === 3 ? end - NANO_DIGITS : end);
    if (value === -1) return undefined;
    numbers[n] = value;
    at = end + 1;
  }
  const [deliveries, sequence, deliverySequence, storedAtUs, pending] = numbers as [
    number,
    number,
    number,
    number,
    number,
  ];
  return { deliveries, sequence, deliverySequence, storedAtUs, pending };
}

/** Stream and consumer are tokens 2 and 3; in the longer form, of at least 11 tokens, 4 and 5. */
function startOfNumbers(subject: string): number {
  if (!isAckSubject(subject)) return -1;
  let dots = 0;
  let short = -1;
  let long = -1;
  for (let i = 8; i < subject.length; i++) {
    if (subject.charCodeAt(i) !== DOT) continue;
    dots++;
    if (dots === 2) short = i + 1;
    else if (dots === 4) long = i + 1;
  }
  if (dots === 6) return short;
  return dots >= 8 ? long : -1;
}

function readDigits(text: string, from: number, to: number): number {
  if (to <= from) return -1;
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
