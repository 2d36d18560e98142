/** Messages of core NATS: at most once, with a way to answer. */

import type { Msg } from '@nats-io/nats-core';
import { findHeader, rawHeaders } from './headers.ts';
import type { Link } from './link.ts';

export interface CoreMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** '' when the message has no such header; names are compared exactly. */
  header(name: string): string;
  /** False when nobody waits for an answer, or the connection is away. */
  respond(data: Uint8Array): boolean;
}

export interface Subscription {
  /** Nothing more is handed out. */
  stop(): void;
  /** Resolves when what was sent to us by now has been handed out; then as `stop`. */
  drain(): Promise<void>;
}

export function coreMessage(link: Link, message: Msg): CoreMessage {
  return {
    subject: message.subject,
    data: message.data,
    header: (name) => findHeader(rawHeaders(message), name),
    respond(data) {
      const { reply } = message;
      if (reply === undefined || reply === '' || !link.up) return false;
      link.publish(reply, '', '', data);
      return true;
    },
  };
}
