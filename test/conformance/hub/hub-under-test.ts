/** The hub that is driven: the one that the environment names, or a fabric of ours that is started for the test. */

import { readFileSync } from 'node:fs';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { openHome } from '../../fabric/command-line.ts';
import { Peer } from '../wire/rpc.ts';
import { openRegistry, PeerNode, type Registry } from './peer-node.ts';

export interface Hub extends AsyncDisposable {
  readonly registry: Registry;
  /** A person's token with scope admin; undefined when there is none: what needs it is left out. */
  readonly admin: string | undefined;
  /** A new one each time. */
  joinToken(): Promise<string>;
  /** A node that has not joined, under a name that nobody has. */
  stranger(name?: string): PeerNode;
  /** One that has joined. */
  joined(name?: string): Promise<PeerNode>;
  /** One that has joined and is connected. */
  connected(name?: string): Promise<PeerNode>;
}

/** `CONFORMANCE_HUB` (the registry's host:port), `CONFORMANCE_JOIN_TOKENS` (comma-separated), `CONFORMANCE_ADMIN_TOKEN`. */
export async function openHub(): Promise<Hub> {
  const address = process.env['CONFORMANCE_HUB'];
  if (address === undefined) return ownHub();
  const tokens = (process.env['CONFORMANCE_JOIN_TOKENS'] ?? '').split(',').filter((token) => token !== '');
  const joinToken = async () => {
    const token = tokens.shift();
    if (token === undefined) throw new Error('CONFORMANCE_JOIN_TOKENS has too few join tokens');
    return token;
  };
  return hubAt(address, process.env['CONFORMANCE_ADMIN_TOKEN'], joinToken, async () => undefined);
}

async function ownHub(): Promise<Hub> {
  const home = openHome({ refusals: true });
  try {
    await home.ok('up', '--detach');
    const { endpoints, api_key_file: keyFile } = home.file('config', 'contexts', 'local.json');
    const org = new Peer(OrgServiceDefinition, endpoints.org);
    const apiKey = readFileSync(keyFile, 'utf8').trim();
    const { token, org: id } = await org.calls.exchangeKey({ apiKey });
    const joinToken = async () =>
      (await org.calls.createJoinToken({ ttlS: 600, org: id }, { token })).joinToken;
    return hubAt(endpoints.registry, token, joinToken, async () => {
      org.close();
      await home[Symbol.asyncDispose]();
    });
  } catch (error) {
    await home[Symbol.asyncDispose]();
    throw error;
  }
}

function hubAt(
  address: string,
  admin: string | undefined,
  joinToken: () => Promise<string>,
  end: () => Promise<void>,
): Hub {
  const registry = openRegistry(address);
  const nodes: PeerNode[] = [];
  const run = Date.now().toString(36);
  const stranger = (name = 'box') => {
    const node = new PeerNode(registry, `${name}-${run}-${nodes.length}`);
    nodes.push(node);
    return node;
  };
  const joined = async (name?: string) => stranger(name).join(await joinToken());
  return {
    registry,
    admin,
    joinToken,
    stranger,
    joined,
    connected: async (name) => (await joined(name)).connect(),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map((node) => node.close()));
      registry.close();
      await end();
    },
  };
}
