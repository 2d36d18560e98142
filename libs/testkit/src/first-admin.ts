/** The admin whom a keys folder was made with, at the org service. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { createRpcClient, type RpcClient } from '@fleetwire/rpc';

export interface FirstAdmin {
  /** A token for the services. */
  token(): Promise<string>;
  /** Each for one node. */
  joinTokens(count: number): Promise<string[]>;
}

export function firstAdmin(orgAddress: string, keysDir: string): FirstAdmin {
  const asked = async <T>(
    token: string,
    ask: (org: RpcClient<typeof OrgServiceDefinition>) => Promise<T>,
  ): Promise<T> => {
    const client = createRpcClient(OrgServiceDefinition, { address: orgAddress, token: () => token });
    return ask(client).finally(() => client.close());
  };
  const apiKey = () => readFileSync(join(keysDir, 'first-api-key'), 'utf8').trim();
  const token = () => asked('', async (org) => (await org.exchangeKey({ apiKey: apiKey() })).token);
  return {
    token,
    joinTokens: async (count) =>
      asked(await token(), async (org) => {
        const tokens: string[] = [];
        for (let i = 0; i < count; i++) tokens.push((await org.createJoinToken({ ttlS: 3600 })).joinToken);
        return tokens;
      }),
  };
}
