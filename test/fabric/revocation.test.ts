// Goal: what a member loses in org they lose everywhere: at every service and node, and as a machine's way in.
// Method: a fabric of processes in operator mode; a member's token works at all of them, then the member is removed.

import { strict as assert } from 'node:assert';
import { DeliveryServiceDefinition } from '@fleetwire/gen/delivery';
import { NodeServiceDefinition } from '@fleetwire/gen/node';
import { OrgServiceDefinition } from '@fleetwire/gen/org';
import { RegistryServiceDefinition } from '@fleetwire/gen/registry';
import { RouterServiceDefinition } from '@fleetwire/gen/router';
import { createNodeKey } from '@fleetwire/identity';
import { createRpcClient } from '@fleetwire/rpc';
import { eventually, reasonOf } from '@fleetwire/testkit';
import { after, before, describe, it } from 'mocha';
import { type SeparateFabric, startSeparateFabric } from './separate-processes.ts';

/** How soon every service must know. */
const KNOWN_WITHIN_MS = 5000;

describe('a removed member', () => {
  let fabric: SeparateFabric;
  const clients: { close(): void }[] = [];
  before(async () => {
    fabric = await startSeparateFabric({ nodes: ['site'] });
  });
  after(async () => {
    for (const client of clients) client.close();
    await fabric[Symbol.asyncDispose]();
  });

  function client<D extends Parameters<typeof createRpcClient>[0]>(
    definition: D,
    address: string,
    token?: string,
  ) {
    const made = createRpcClient(definition, {
      address,
      ...(token === undefined ? {} : { token: () => token }),
    });
    clients.push(made);
    return made;
  }

  it('is refused by every service and node soon, and brings no machine in', async () => {
    const { addresses } = fabric;
    const admin = client(OrgServiceDefinition, addresses.org, await fabric.token());
    const anyone = client(OrgServiceDefinition, addresses.org);
    const { url } = await admin.createInvite({ email: 'bob@example.org' });
    const secret = url.split('/').at(-1)!;
    const { apiKey, user } = await anyone.acceptInvite({ secret, email: 'bob@example.org' });
    const { token } = await anyone.exchangeKey({ apiKey });
    const org = client(OrgServiceDefinition, addresses.org, token);
    const registry = client(RegistryServiceDefinition, addresses.registry, token);
    const router = client(RouterServiceDefinition, addresses.router, token);
    const delivery = client(DeliveryServiceDefinition, addresses.delivery, token);
    const node = client(NodeServiceDefinition, fabric.nodes['site']!.address, token);
    const calls: Record<string, () => Promise<unknown>> = {
      org: () => org.getOrg({}),
      registry: () => registry.listNodes({}),
      router: () => router.explain({ to: 'b' }),
      delivery: () => delivery.listMessages({}),
      node: () => node.listLocalAgents({}),
    };
    const { joinToken } = await org.createJoinToken({ ttlS: 600 });
    for (const [name, call] of Object.entries(calls)) {
      const reason = await reasonOf(call());
      assert.ok(!['TOKEN_REVOKED', 'TOKEN_INVALID', 'TOKEN_MISSING'].includes(reason), `${name}: ${reason}`);
    }

    await admin.removeMember({ user });

    for (const [name, call] of Object.entries(calls))
      await eventually(
        async () => {
          assert.equal(await reasonOf(call()), 'TOKEN_REVOKED', name);
          return true;
        },
        { timeoutMs: KNOWN_WITHIN_MS },
      );
    assert.equal(await reasonOf(anyone.exchangeKey({ apiKey })), 'API_KEY_REVOKED');
    const newcomer = { joinToken, nodeName: 'late', publicKey: createNodeKey().publicKey };
    const join = client(RegistryServiceDefinition, addresses.registry).join(newcomer);
    assert.equal(await reasonOf(join), 'JOIN_TOKEN_EXPIRED');
  });
});
