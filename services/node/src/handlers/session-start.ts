/** The first moment of a session: hello in time, or why there is none. */

import type { AttachHello, AttachRequest } from '@fleetwire/gen/node';
import { FleetwireError, pause } from '@fleetwire/kernel';

/** Throws HELLO_TIMEOUT when the session's first message does not come in time. */
export async function helloOf(requests: AsyncIterator<AttachRequest>, helloMs: number): Promise<AttachHello> {
  const waiting = new AbortController();
  const late = pause(helloMs, waiting.signal).then(() => undefined);
  const first = await Promise.race([requests.next(), late]).finally(() => waiting.abort());
  if (first === undefined) {
    const said = `the session did not say hello within ${helloMs} ms`;
    throw new FleetwireError('deadline_exceeded', 'HELLO_TIMEOUT', said, {
      help: 'Send hello at once after opening the stream.',
    });
  }
  const hello = first.done ? undefined : first.value.hello;
  if (hello === undefined) throw protocolFault('the first message of a session must be hello');
  return hello;
}

export function protocolFault(message: string): FleetwireError {
  return new FleetwireError('invalid_argument', 'SESSION_PROTOCOL', message);
}

export function tooManySessions(open: number): FleetwireError {
  return new FleetwireError('resource_exhausted', 'TOO_MANY_SESSIONS', `${open} sessions are open`, {
    help: 'End some, or raise FLEETWIRE_NODE_SESSIONS.',
    retryAfterMs: 1000,
  });
}
