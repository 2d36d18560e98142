/** What the two clients of the routed benchmark are told. */

export interface RoutedSettings {
  readonly address: string;
  readonly token: string;
  readonly sender: string;
  readonly receivers: readonly string[];
}
