/** Rules of invites: their secrets, how long one is good, and why one cannot be accepted. */

import { randomBytes } from 'node:crypto';
import { FleetwireError } from '@fleetwire/kernel';
import { foldEmail } from './texts.ts';

const SECRET = /^fwi_[A-Za-z0-9_-]{43}$/;

/** 256 bits; stored as SHA-256 only. */
export const newInviteSecret = (): string => `fwi_${randomBytes(32).toString('base64url')}`;

export interface InviteLife {
  readonly emailFolded: string | null;
  readonly expiresAtMs: number;
  readonly acceptedAtMs: number | null;
  readonly revokedAtMs: number | null;
}

export type InviteStatus = 'pending' | 'accepted' | 'revoked' | 'expired';

export function inviteStatus(invite: InviteLife, nowMs: number): InviteStatus {
  if (invite.acceptedAtMs !== null) return 'accepted';
  if (invite.revokedAtMs !== null) return 'revoked';
  return invite.expiresAtMs <= nowMs ? 'expired' : 'pending';
}

/** Throws INVITE_INVALID for a text that cannot be a secret, before anything is looked up. */
export function checkInviteSecret(secret: string): void {
  if (!SECRET.test(secret)) throw inviteInvalid();
}

export function inviteInvalid(): FleetwireError {
  return new FleetwireError('not_found', 'INVITE_INVALID', 'this invite is not known', {
    help: 'Check that the whole link was copied, or ask for a new invite.',
  });
}

/** Why an invite is good for nothing any more; undefined: it is open. */
export function inviteRefusal(invite: InviteLife, nowMs: number): FleetwireError | undefined {
  const refuse = (reason: string, message: string) =>
    new FleetwireError('failed_precondition', reason, message, { help: 'Ask for a new invite.' });
  switch (inviteStatus(invite, nowMs)) {
    case 'accepted':
      return refuse('INVITE_USED', 'this invite was used already');
    case 'revoked':
      return refuse('INVITE_REVOKED', 'this invite was taken back');
    case 'expired':
      return refuse('INVITE_EXPIRED', 'this invite has expired');
    case 'pending':
      return undefined;
  }
}

/** An invite by e-mail is for that address only; which one it is, is not said. */
export function emailRefusal(invite: InviteLife, email: string): FleetwireError | undefined {
  if (invite.emailFolded === null || invite.emailFolded === foldEmail(email)) return undefined;
  return new FleetwireError('permission_denied', 'INVITE_OTHER_EMAIL', 'this invite is for another address', {
    help: 'Give the address that the invite was sent to, or ask for an invite for yours.',
  });
}
