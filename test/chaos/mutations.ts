/** The rules that hold the promises, each to be switched off, and the processes in which it is. */

export interface Mutation {
  readonly name: string;
  readonly role: 'router' | 'node';
  /** What the reconciliation then finds. */
  readonly finds: 'lost' | 'doubled' | 'swapped';
}

export const MUTATIONS: readonly Mutation[] = [
  { name: 'one-in-flight', role: 'router', finds: 'swapped' },
  { name: 'one-durable', role: 'router', finds: 'lost' },
  { name: 'primary-key', role: 'node', finds: 'doubled' },
];

/** For `ChaosOptions.preload`. */
export function preloadOf({ name, role }: Mutation): Readonly<Record<string, readonly string[]>> {
  return { [role]: [new URL(`./mutations/${name}.ts`, import.meta.url).href] };
}
