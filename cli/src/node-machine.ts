/** Machines without a fabric of their own, whose nodes work with a hub elsewhere: what people are told there. */

import { FleetwireError } from '@fleetwire/kernel';
import { contextNames } from './context.ts';
import { readFabric } from './fabric/fabric-record.ts';
import { HUB_NODE, nodeFolder, nodeNames, nodeOrg } from './local-nodes.ts';

/** No fabric was ever started here, and a node has joined. Never rejects. */
export async function worksWithHubElsewhere(dataFolder: string): Promise<boolean> {
  const none = await readFabric(dataFolder).then(
    (record) => record === undefined,
    () => false,
  );
  if (!none) return false;
  const names = (await nodeNames(dataFolder)).filter((name) => name !== HUB_NODE);
  const orgs = await Promise.all(names.map((name) => nodeOrg(nodeFolder(dataFolder, name))));
  return orgs.some((org) => org !== '');
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
