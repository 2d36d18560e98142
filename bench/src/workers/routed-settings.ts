/** What the clients of the routed benchmark are told. */

/** Agents of one node. */
export interface ClientsOfNode {
  readonly address: string;
  readonly token: string;
  readonly agents: readonly string[];
}

export interface RoutedSettings {
  /** The agents that this process is. */
  readonly own: readonly ClientsOfNode[];
  /** What may wait for each; left out: as the node is configured. */
  readonly queue?: { readonly messages: number; readonly bytes: number };
  /** Where a sender's messages go, in turn. */
  readonly to: readonly string[];
}
