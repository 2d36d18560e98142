/** Where the node is and who the agent is: as given, else as the node tells the programs that it starts. */

import { defineSection, type Environment, loadConfig, secretText, z } from '@fleetwire/config';
import { FleetwireError } from '@fleetwire/kernel';

const text = () => z.string().default('');

export const agentSection = defineSection('', {
  node_address: text().describe(
    'Set for an agent by its node: where the node answers, host:port or unix:/path',
  ),
  agent: text().describe('Set for an agent by its node: its name'),
  agent_id: text().describe('Set for an agent by its node: its id'),
  agent_messages: text().describe(
    'Set for an agent in a terminal by its node: file of the messages typed to it',
  ),
  agent_token: secretText().default('').describe('Set for an agent by its node: its token'),
});

export interface Settings {
  readonly address: string;
  readonly token: () => string | Promise<string>;
  readonly name: string;
}

export interface GivenSettings {
  readonly address?: string | undefined;
  readonly token?: string | (() => string | Promise<string>) | undefined;
  readonly name?: string | undefined;
  readonly env?: Environment | undefined;
}

/** Throws `failed_precondition` NODE_ADDRESS_MISSING. What is given wins; a given token goes with a given name. */
export function settingsOf(given: GivenSettings): Settings {
  const complete = given.address !== undefined && given.token !== undefined;
  const env = complete ? undefined : loadConfig({ agent: agentSection }, { env: given.env }).agent;
  const address = given.address ?? env?.node_address ?? '';
  if (address === '')
    throw new FleetwireError('failed_precondition', 'NODE_ADDRESS_MISSING', 'no address of a node is known', {
      help: 'Start this program by "fleetwire run", or give connect() an address and a token.',
    });
  const token = given.token ?? env?.agent_token ?? '';
  // An agent's own token says who it is; a name beside it must be the same.
  const name = given.name ?? (given.token === undefined ? env?.agent : undefined) ?? '';
  return { address, name, token: typeof token === 'function' ? token : () => token };
}
