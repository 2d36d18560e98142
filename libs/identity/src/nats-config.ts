/** The configuration of a nats-server in operator mode: trusts our operator, resolves accounts from its own folder. */

import { loadTrust } from './trust.ts';

export interface NatsConfigOptions {
  readonly host: string;
  /** -1: a free one. */
  readonly port: number;
  readonly serverName: string;
  /** Of JetStream. */
  readonly storeDir: string;
  /** Where the server keeps the claims that were pushed to it. */
  readonly resolverDir: string;
  readonly maxPayload: number;
  /** `host:port` of the monitoring listener. */
  readonly http?: string;
  readonly tls?: { readonly certFile: string; readonly keyFile: string; readonly caFile?: string };
  readonly cluster?: {
    readonly name: string;
    readonly listen: string;
    readonly routes: readonly string[];
    readonly user?: string;
    readonly password?: string;
  };
}

const quote = (text: string): string => JSON.stringify(text);

/** Holds no secret but a cluster's password. Accounts of orgs are not in it: bootstrap pushes them. */
export async function natsServerConfig(keysDir: string, o: NatsConfigOptions): Promise<string> {
  const { operator, system, fabric } = await loadTrust(keysDir);
  const lines = [
    `server_name: ${quote(o.serverName)}`,
    `host: ${quote(o.host)}`,
    `port: ${o.port}`,
    `max_payload: ${o.maxPayload}`,
    ...(o.http === undefined ? [] : [`http: ${quote(o.http)}`]),
    `jetstream { store_dir: ${quote(o.storeDir)} }`,
    `operator: ${operator.jwt}`,
    `system_account: ${system.account}`,
    `resolver { type: full, dir: ${quote(o.resolverDir)}, allow_delete: false, interval: "2m" }`,
    'resolver_preload {',
    `  ${system.account}: ${system.jwt}`,
    `  ${fabric.account}: ${fabric.jwt}`,
    '}',
    ...tlsLines(o.tls),
    ...clusterLines(o.cluster),
  ];
  return `${lines.join('\n')}\n`;
}

function tlsLines(tls: NatsConfigOptions['tls']): string[] {
  if (tls === undefined) return [];
  const ca = tls.caFile === undefined ? '' : `, ca_file: ${quote(tls.caFile)}`;
  return [`tls { cert_file: ${quote(tls.certFile)}, key_file: ${quote(tls.keyFile)}${ca} }`];
}

function clusterLines(cluster: NatsConfigOptions['cluster']): string[] {
  if (cluster === undefined) return [];
  const { user, password } = cluster;
  return [
    'cluster {',
    `  name: ${quote(cluster.name)}`,
    `  listen: ${quote(cluster.listen)}`,
    ...(user === undefined || password === undefined
      ? []
      : [`  authorization { user: ${quote(user)}, password: ${quote(password)} }`]),
    `  routes: [${cluster.routes.map(quote).join(', ')}]`,
    '}',
  ];
}
