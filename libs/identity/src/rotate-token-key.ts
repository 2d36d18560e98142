/** Giving a service another token key while the fabric runs: published first, used later, the former one ended last. */

import { rm } from 'node:fs/promises';
import { FleetwireError } from '@fleetwire/kernel';
import type { JWK } from 'jose';
import { jsonText, replace } from './key-files.ts';
import { ensureTokenKey } from './token-key-files.ts';
import { keysOfService, kidOf, numberOfKid, timesOf } from './token-keys.ts';
import { TOKEN_LIFETIME_MAX_MS } from './token-signer.ts';
import type { TokenKeyTimes, Trust } from './trust.ts';
import { keyFiles, loadTrust } from './trust.ts';

export interface RotateOptions {
  /** Milliseconds since the epoch; default: now by this machine. */
  readonly nowMs?: number;
  /** When the new key signs, so that whoever verifies has it by then. Default 30 s. */
  readonly activateAfterMs?: number;
  /** How long after that the former key is believed. Default 48 hours, the longest life of a token. */
  readonly overlapMs?: number;
  /** For a leaked key: no key of the service that was there is believed any longer, and the new one signs at once. */
  readonly immediately?: boolean;
}

export interface Rotation {
  readonly service: string;
  readonly kid: string;
  /** Milliseconds since the epoch. */
  readonly activeFromMs: number;
  /** Keys before it; those without `believedUntilMs` were dropped. */
  readonly former: readonly { readonly kid: string; readonly believedUntilMs?: number }[];
}

const ACTIVATE_AFTER_MS = 30_000;

/**
 * Makes the next key of a service. The private half is on disk before the public half is in trust.json, which is
 * replaced at once as a whole: after a crash in between, call it again. Rejects not_found TOKEN_KEY_UNKNOWN, or
 * failed_precondition KEYS_MISSING or KEYS_UNREADABLE.
 */
export async function rotateTokenKey(dir: string, service: string, o: RotateOptions = {}): Promise<Rotation> {
  const nowMs = o.nowMs ?? Date.now();
  const immediately = o.immediately === true;
  const { kid, publicKey } = await nextKey(dir, service, immediately);
  // Read after the key was made, so that as little time as can be lies between reading and replacing.
  const before = await loadTrust(dir);
  const activeFromMs = immediately ? nowMs : nowMs + (o.activateAfterMs ?? ACTIVATE_AFTER_MS);
  const untilMs = activeFromMs + (o.overlapMs ?? TOKEN_LIFETIME_MAX_MS);
  const former = keysOfService(before, service).flatMap((key): TokenKeyTimes[] => {
    const times = timesOf(before, key.kid);
    return key.kid === kid ? [] : [{ believedUntilMs: untilMs, ...times, kid: key.kid! }];
  });
  const kept = immediately ? [] : former.filter(({ believedUntilMs }) => believedUntilMs! > nowMs);
  const gone = former.filter((times) => !kept.includes(times));
  await replace(keyFiles.trust(dir), trustText(before, gone, [...kept, { kid, activeFromMs }], publicKey));
  // Nothing can be made of them any more. Only now: a trust.json that believes a key must find it here.
  for (const { kid: old } of gone) await rm(keyFiles.token(dir, old), { force: true });
  return {
    service,
    kid,
    activeFromMs,
    former: former.map(({ kid: old, believedUntilMs }) =>
      immediately ? { kid: old } : { kid: old, believedUntilMs: believedUntilMs! },
    ),
  };
}

/** What a crash left behind is gone on with, but not when a key leaked: then it may have leaked as well. */
async function nextKey(
  dir: string,
  service: string,
  fresh: boolean,
): Promise<{ kid: string; publicKey: JWK }> {
  const last = keysOfService(await loadTrust(dir), service).at(-1);
  if (last === undefined)
    throw new FleetwireError('not_found', 'TOKEN_KEY_UNKNOWN', `there is no token key of "${service}"`, {
      help: 'Name a service that has a file in `tokens` of the keys folder, or `operator`.',
    });
  for (let number = numberOfKid(last.kid!) + 1; ; number++) {
    const kid = kidOf(service, number);
    const { made, publicKey } = await ensureTokenKey(dir, kid);
    if (made || !fresh) return { kid, publicKey };
  }
}

function trustText(
  before: Trust,
  gone: readonly TokenKeyTimes[],
  now: readonly TokenKeyTimes[],
  publicKey: JWK,
): string {
  const dropped = new Set(gone.map(({ kid }) => kid));
  const replaced = new Set([...dropped, ...now.map(({ kid }) => kid)]);
  const trust: Trust = {
    ...before,
    jwks: {
      keys: [...before.jwks.keys.filter(({ kid }) => !dropped.has(kid!) && kid !== publicKey.kid), publicKey],
    },
    tokenKeys: [...(before.tokenKeys ?? []).filter(({ kid }) => !replaced.has(kid)), ...now],
  };
  return jsonText(trust);
}
