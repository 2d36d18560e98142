/** Who is who: NATS accounts and users, signed tokens, API keys, and the folder that holds the keys. */
export type { KeySeeds, Revocations } from './accounts.ts';
export { orgImports, revocationsIn } from './accounts.ts';
export { hashSecret, isApiKey, newApiKey, newJoinToken } from './api-keys.ts';
export type { HelloProof, NodeHello } from './hub-proof.ts';
export { hubKeyOf, nodeHelloBytes, proveHub, rotationBytes, verifyHub } from './hub-proof.ts';
export { CLAIMS_LIST, CLAIMS_UPDATE, claimsLookup, JETSTREAM_DOMAIN } from './jetstream-subjects.ts';
export type { EnsureKeysOptions } from './keys-folder.ts';
export { ensureKeys } from './keys-folder.ts';
export { LiveTrust } from './live-trust.ts';
export type { NatsConfigOptions } from './nats-config.ts';
export { natsServerConfig } from './nats-config.ts';
export {
  createNodeKey,
  isNodePublicKey,
  publicNodeKey,
  signWithNodeKey,
  verifyNodeSignature,
} from './node-key.ts';
export type { NodeUserOptions } from './node-user.ts';
export { mintNodeUser, nodeInboxPrefix, nodePermissions } from './node-user.ts';
export type { AccountIssuer, OrgAccount } from './org-account.ts';
export {
  ALL_USERS,
  FOR_GOOD_S,
  orgAccountJwt,
  REVOCATIONS_MAX,
  renewedOrgAccountJwt,
  revokedForGood,
  revokingOrgAccountJwt,
} from './org-account.ts';
export type { OrgKeys } from './org-keys.ts';
export { accountIssuer, loadOrgKeys, signingOfOrg, signingOfSeeds } from './org-keys.ts';
export { rosterDigest } from './roster-digest.ts';
export type { RotateOptions, Rotation } from './rotate-token-key.ts';
export { rotateTokenKey } from './rotate-token-key.ts';
export { newCreds } from './service-creds.ts';
export type { UserRights } from './service-users.ts';
export { SERVICE_USERS, serviceInboxPrefix, serviceRights } from './service-users.ts';
export {
  credsText,
  mintSubscriberUser,
  type SubscriberUserOptions,
  seedInCreds,
  subscriberInboxPrefix,
  subscriberPermissions,
} from './subscriber-user.ts';
export { OPERATOR } from './token-key-files.ts';
export { publishedKeys, trustDigest } from './token-keys.ts';
export type { TokenClaims, TokenSigner } from './token-signer.ts';
export { createTokenSigner, TOKEN_LIFETIME_MAX_MS } from './token-signer.ts';
export type { Caller, TokenVerifier, VerifierOptions } from './token-verifier.ts';
export { createLiveVerifier, createTokenVerifier } from './token-verifier.ts';
export type {
  OrgIssuer,
  OrgSigning,
  PublishedKeys,
  Secrets,
  TokenKeyTimes,
  Trust,
  TrustedOrg,
} from './trust.ts';
export { keyFiles, loadFirstApiKey, loadSecrets, loadTrust } from './trust.ts';
