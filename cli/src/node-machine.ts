/** Machines on which no fabric runs, perhaps because their nodes work with a hub elsewhere: what people are told there. */

import { FleetwireError } from '@fleetwire/kernel';
import { contextNames, NEW_HERE } from './context.ts';
import { hasFabric } from './fabric/fabric-record.ts';
import { HUB_NODE, nodeFolder, nodeNames, nodeOrg, runningNodes } from './local-nodes.ts';

/** No fabric was ever started here: the nodes that have joined elsewhere. Never rejects. */
async function nodesOfHubElsewhere(dataFolder: string): Promise<string[]> {
  if (await hasFabric(dataFolder)) return [];
  const names = (await nodeNames(dataFolder)).filter((name) => name !== HUB_NODE);
  const orgs = await Promise.all(names.map((name) => nodeOrg(nodeFolder(dataFolder, name))));
  return names.filter((_, i) => orgs[i] !== '');
}

/** No fabric was ever started here, and a node has joined. Never rejects. */
export const worksWithHubElsewhere = async (dataFolder: string): Promise<boolean> =>
  (await nodesOfHubElsewhere(dataFolder)).length > 0;

/** Of a machine on which no fabric runs: how that is, and what to do about it; empty where all runs that can. Never rejects. */
export async function noFabric(
  dataFolder: string,
): Promise<{ readonly said: string; readonly help: string }> {
  const nodes = await nodesOfHubElsewhere(dataFolder);
  if (nodes.length > 0) {
    const running = (await runningNodes(dataFolder)).map(({ name }) => name);
    const start = nodes
      .filter((name) => !running.includes(name))
      .map((name) => `fleetwire node start ${name} --detach`);
    return {
      said: 'this machine has no fabric of its own; its nodes work with a hub elsewhere',
      help: start.length === 0 ? '' : `Start a node with: ${start.join(', or: ')}`,
    };
  }
  const help = (await hasFabric(dataFolder)) ? 'Start it with: fleetwire up' : NEW_HERE;
  return { said: 'no fabric runs on this machine', help };
}

/** The same error, with what helps on such a machine, for the context that is missing there; any other as it is. */
export async function helpWithoutHub(
  thrown: unknown,
  folders: { readonly data: string; readonly config: string },
): Promise<unknown> {
  if (!(thrown instanceof FleetwireError && thrown.reason === 'CONTEXT_MISSING')) return thrown;
  if ((await contextNames(folders.config)).length > 0) return thrown;
  if (!(await worksWithHubElsewhere(folders.data))) return thrown;
  return new FleetwireError(thrown.kind, thrown.reason, thrown.message, {
    help:
      'The nodes of this machine work with a hub elsewhere; commands about the org need an API key of your own: ' +
      'fleetwire invite accept LINK',
    details: thrown.details,
    cause: thrown,
  });
}
