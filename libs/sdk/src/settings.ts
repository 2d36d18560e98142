/** Where the node is and who the agent is: as given, else as the node tells the programs that it starts. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, folders, loadConfig, sections } from '@fleetwire/config';
import { FleetwireError, printable } from '@fleetwire/kernel';

export interface Settings {
  /** Asked before each connection: a node may answer elsewhere after a restart. */
  readonly address: () => string | Promise<string>;
  readonly token: () => string | Promise<string>;
  readonly name: string;
}

export interface GivenSettings {
  /** `host:port` or `unix:/path`; a function is asked before each connection. */
  readonly address?: string | (() => string | Promise<string>) | undefined;
  readonly token?: string | (() => string | Promise<string>) | undefined;
  readonly name?: string | undefined;
  /** A node of this machine by its name, such as `hub`: in place of its address, and of its admin token if no token is given. */
  readonly node?: string | undefined;
  readonly env?: Environment | undefined;
}

/** Throws `failed_precondition` NODE_ADDRESS_MISSING. What is given wins; a given token goes with a given name. */
export function settingsOf(given: GivenSettings): Settings {
  if (given.node !== undefined) {
    const { address, token } = nodeHere(given.node, given.env);
    const { address: elsewhere = address, token: own = token } = given;
    return settingsOf({ ...given, node: undefined, address: elsewhere, token: own });
  }
  const complete = given.address !== undefined && given.token !== undefined;
  const env = complete ? undefined : loadConfig({ ambient: sections.ambient }, { env: given.env }).ambient;
  const address = given.address ?? env?.node_address ?? '';
  if (address === '')
    throw new FleetwireError('failed_precondition', 'NODE_ADDRESS_MISSING', 'no address of a node is known', {
      help: 'Start this program by "fleetwire agent run", or give connect() a node of this machine, or an address and a token.',
    });
  const token = given.token ?? env?.agent_token ?? '';
  // An agent's own token says who it is; a given name beside it must be the same. What it was called at its start it may
  // not be called any more.
  const name = given.name ?? (given.token === undefined && token === '' ? env?.agent : undefined) ?? '';
  const file = given.address === undefined ? (env?.node_file ?? '') : '';
  return {
    address: typeof address === 'function' ? address : () => addressIn(file) ?? address,
    name,
    token: typeof token === 'function' ? token : () => token,
  };
}

/** Where `fleetwire` keeps the nodes of this machine; read before each connection, for both may be others after a restart. */
function nodeHere(
  name: string,
  env: Environment | undefined,
): Required<Pick<GivenSettings, 'address' | 'token'>> {
  const { data } = folders(loadConfig({ common: sections.common }, { env }), env);
  const folder = join(data, 'nodes', name);
  return {
    address: () => addressIn(join(folder, 'node.json')) ?? notHere(name, folder),
    token: () => {
      try {
        return readFileSync(join(folder, 'admin-token'), 'utf8').trim();
      } catch (cause) {
        return notHere(name, folder, cause);
      }
    },
  };
}

/** Worth trying again: it may be about to start. */
function notHere(name: string, folder: string, cause?: unknown): never {
  const said = `no node "${printable(name)}" runs on this machine, in ${folder}`;
  throw new FleetwireError('unavailable', 'NODE_NOT_HERE', said, {
    help: 'Start it with "fleetwire up" or "fleetwire node start"; "fleetwire status" tells which there are.',
    cause,
  });
}

/** What the node wrote at its last start. */
function addressIn(file: string): string | undefined {
  if (file === '') return undefined;
  try {
    const { address } = JSON.parse(readFileSync(file, 'utf8')) as { address?: unknown };
    return typeof address === 'string' && address !== '' ? address : undefined;
  } catch {
    // Being written, or gone: the address of the start still serves, or the next try will tell.
    return undefined;
  }
}
