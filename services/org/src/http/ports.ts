/** What the routes ask the rest of the service for. */

import type { AcceptInviteResponse, LookInviteResponse } from '@fleetwire/gen/org';

/** Where programs reach the fabric; empty when it is not known. */
export interface Endpoints {
  readonly org: string;
  readonly registry: string;
  readonly router: string;
  readonly delivery: string;
}

/** What these reject with becomes the answer. */
export interface OrgHttpPorts {
  /** Consumes nothing: mail programs and chats open links to show what is behind them. */
  look(secret: string): Promise<LookInviteResponse>;
  /** Makes the person a member. `from`: for the audit, and for the events of it. */
  accept(
    secret: string,
    email: string,
    from: { readonly peer: string; readonly traceparent: string },
  ): Promise<AcceptInviteResponse>;
  /** The bytes as they came, and what the signature header says; rejects when they do not belong together. */
  webhook(raw: Uint8Array, signature: string): Promise<void>;
  /** The public keys of tokens: a JSON Web Key Set, as JSON. */
  keys(): Promise<string>;
  endpoints(): Endpoints;
  /**
   * What a new member does with the key, in lines. `{hub}` stands for the host by which the page was reached, `{org}` and
   * `{org_slug}` for the org, `{org_endpoint}`, `{registry_endpoint}`, `{router_endpoint}`, `{delivery_endpoint}`.
   */
  readonly howToUse: string;
}
