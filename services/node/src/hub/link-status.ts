/** How the node stands with its hub, as people and programs are shown it. */

import type { FleetwireError } from '@fleetwire/kernel';

/** REFUSED: the registry does not take this node; it goes on asking, and stays so until it is taken. */
export type LinkState = 'DISCONNECTED' | 'CONNECTING' | 'HANDSHAKING' | 'ACTIVE' | 'RECONNECTING' | 'REFUSED';

export class LinkStatus {
  #state: LinkState = 'DISCONNECTED';
  #error = '';
  #refused = false;
  /** The registry's words about another machine that tried to be this node; empty: none of late. */
  contender = '';

  get state(): LinkState {
    return this.#refused && this.#state !== 'DISCONNECTED' ? 'REFUSED' : this.#state;
  }

  /** Why there is no connection; empty while there is. */
  get error(): string {
    return this.#error;
  }

  get refused(): boolean {
    return this.#refused;
  }

  enter(state: LinkState): void {
    this.#state = state;
  }

  active(): void {
    this.#state = 'ACTIVE';
    this.#error = '';
  }

  /** NATS went away, and may be back any moment. */
  cutOff(): void {
    if (this.#state === 'ACTIVE') this.#state = 'RECONNECTING';
    if (!this.#refused) this.#error = 'the connection to NATS was lost';
  }

  /** A refusal stays the reason that is shown, also when the registry is away after it. */
  refuse(text: string): void {
    this.#refused = true;
    this.#error = text;
  }

  /** The registry takes this node. */
  taken(): void {
    this.#refused = false;
  }

  show({ message, help }: FleetwireError): void {
    if (!this.#refused) this.#error = help === undefined ? message : `${message}; ${help}`;
  }
}
