/** What gRPC itself does not tell of a stream of answers: how much of it a client leaves unread, and a way to end it then. */

import { constants } from 'node:http2';
import type { ServerInterceptingCallInterface } from '@grpc/grpc-js';

/** Metadata by which the wrapper of a handler finds its call; what a client says under this name is replaced. */
export const CALL_KEY = 'fleetwire-call';

export interface AnswerFlow {
  /** Bytes of answers that the client's side has not taken yet. */
  unsentBytes(): number;
  /** Drops these and ends the call. */
  breakOff(): void;
}

/** grpc-js keeps the stream to itself. */
interface WithStream {
  readonly stream?: { readonly writableLength: number; close(code: number): void };
}

const NONE: AnswerFlow = { unsentBytes: () => 0, breakOff: () => undefined };

/** Calls between the arrival of their metadata and their handler, which takes its own out. */
const arriving = new Map<string, AnswerFlow>();
let last = 0;

/** For `CALL_KEY` of this call; to be taken by `answerFlowOf`. */
export function noteCall(call: ServerInterceptingCallInterface): string {
  const id = String(++last);
  const { stream } = call as WithStream;
  arriving.set(id, {
    unsentBytes: () => stream?.writableLength ?? 0,
    breakOff: () => stream?.close(constants.NGHTTP2_ENHANCE_YOUR_CALM),
  });
  return id;
}

/** Of a call that is not known: nothing waits, and it cannot be ended. */
export function answerFlowOf(id: string | undefined): AnswerFlow {
  const flow = id === undefined ? undefined : arriving.get(id);
  if (flow === undefined) return NONE;
  arriving.delete(id!);
  return flow;
}
