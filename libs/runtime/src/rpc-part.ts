/** The gRPC server as a part of a service's life: listening early, ready late, closed gracefully. */

import { readFile } from 'node:fs/promises';
import { FleetwireError } from '@fleetwire/kernel';
import { startRpcServer } from '@fleetwire/rpc';
import { runWithTrace } from '@fleetwire/telemetry';
import type { Opened } from './context.ts';
import type { ServiceContext, Wiring } from './service.ts';

export interface ReadyServer {
  readonly address: string;
  /** Sets the health of the process, of the service by its short name, and of each gRPC service. */
  setServing(serving: boolean): void;
  /** The same, of a service that stays open and may serve again. */
  tellServing(serving: boolean): void;
}

export async function rpcPart(
  name: string,
  wiring: Wiring,
  config: ServiceContext['config'],
  opened: Opened,
): Promise<ReadyServer> {
  const { telemetry, identity, life } = opened;
  const services = wiring.rpc ?? [];
  const authenticate =
    wiring.authenticate ?? (identity ? (bearer: string) => identity.verifier.verify(bearer) : undefined);
  const tls = await serverTls(config.rpc);
  const server = await life.open(
    'rpc',
    () =>
      startRpcServer({
        listen: config.rpc.listen,
        services,
        authenticate,
        log: telemetry.log,
        hop: (method, parent) => telemetry.tracer.hop(method, parent, () => ({ 'rpc.system': 'grpc' })),
        runWithTrace,
        maxMessageBytes: config.rpc.max_message_bytes,
        tls,
      }),
    (it, how) => (how.forced ? it.close() : it.stopAccepting(how.graceMs)),
  );
  const names = ['', name, ...services.map((service) => service.definition.fullName)];
  const tellServing = (serving: boolean) => {
    for (const each of names) server.setServing(each, serving);
  };
  return {
    address: server.address,
    tellServing,
    setServing(serving) {
      tellServing(serving);
      if (!serving) server.drain();
    },
  };
}

interface TlsFiles {
  readonly tls_cert_file?: string | undefined;
  readonly tls_key_file?: string | undefined;
  readonly tls_ca_file?: string | undefined;
}

async function serverTls(files: TlsFiles): Promise<{ cert: Uint8Array; key: Uint8Array } | undefined> {
  const { tls_cert_file: cert, tls_key_file: key } = files;
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw new FleetwireError(
      'invalid_argument',
      'INVALID_CONFIG',
      'a TLS certificate and its key go together',
      {
        help: 'Set both FLEETWIRE_RPC_TLS_CERT_FILE and FLEETWIRE_RPC_TLS_KEY_FILE, or neither.',
      },
    );
  return { cert: await readPem(cert), key: await readPem(key) };
}

/** Throws `failed_precondition` TLS_FILE_UNREADABLE. */
async function readPem(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new FleetwireError('failed_precondition', 'TLS_FILE_UNREADABLE', `cannot read ${path}`, {
      help: 'Check the FLEETWIRE_RPC_TLS_* settings and the rights of the files.',
      cause,
    });
  }
}
