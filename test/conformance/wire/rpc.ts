/** gRPC by the generated messages and a bare gRPC library: calls of a service, and errors as docs/protocol.md has them. */

import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import {
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';

// biome-ignore-start lint/suspicious/noExplicitAny: each message has types of its own
interface Codec {
  encode(message: any): { finish(): Uint8Array };
  decode(bytes: Uint8Array): any;
  fromPartial(part: any): any;
}
// biome-ignore-end lint/suspicious/noExplicitAny: each message has types of its own

interface Method {
  readonly name: string;
  readonly requestType: Codec;
  readonly responseType: Codec;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
}

export interface Definition {
  readonly fullName: string;
  readonly methods: Readonly<Record<string, Method>>;
}

type Request<M> = M extends { requestType: { decode(...a: never[]): infer Q } } ? Q : never;
type Answer<M> = M extends { responseType: { decode(...a: never[]): infer A } } ? A : never;

/** A call of the service; `raw` is sent in place of the request's own bytes. */
export type Calls<D extends Definition> = {
  readonly [K in keyof D['methods']]: (
    request: Partial<Request<D['methods'][K]>>,
    o?: { readonly token?: string | undefined; readonly raw?: Uint8Array },
  ) => Promise<Answer<D['methods'][K]>>;
};

export type Handlers<D extends Definition> = {
  readonly [K in keyof D['methods']]?: (
    request: Request<D['methods'][K]>,
    /** The bearer token; empty: none. */
    token: string,
  ) => Promise<Partial<Answer<D['methods'][K]>> | Uint8Array>;
};

const DEADLINE_MS = 20_000;
const DETAILS_KEY = 'grpc-status-details-bin';
const ANY = 'type.googleapis.com/google.rpc.';
const ENOUGH: ChannelOptions = {
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.max_send_message_length': 64 * 1024 * 1024,
};

/** What a call is refused with. */
export class Refused extends Error {
  /** google.rpc.Code. */
  readonly code: number;
  readonly reason: string;
  readonly domain: string;
  readonly details: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;

  constructor(code: number, o: Partial<Refused> = {}) {
    super(`${o.reason ?? 'refused'} (${code}) ${o.message ?? ''}`);
    this.code = code;
    this.reason = o.reason ?? '';
    this.domain = o.domain ?? 'fleetwire';
    this.details = o.details ?? {};
    this.retryAfterMs = o.retryAfterMs;
  }
}

export class Peer<D extends Definition> {
  readonly calls: Calls<D>;
  readonly #client: Client;

  constructor(definition: D, address: string) {
    this.#client = new Client(address, credentials.createInsecure(), ENOUGH);
    const calls = Object.entries(definition.methods)
      .filter(([, { requestStream, responseStream }]) => !requestStream && !responseStream)
      .map(([key, method]) => [key, this.#caller(`/${definition.fullName}/${method.name}`, method)]);
    this.calls = Object.fromEntries(calls) as Calls<D>;
  }

  close(): void {
    this.#client.close();
  }

  #caller(path: string, { requestType, responseType }: Method) {
    return (request: object, o: { token?: string; raw?: Uint8Array } = {}) =>
      new Promise((resolve, reject) => {
        const metadata = new Metadata();
        if (o.token !== undefined) metadata.set('authorization', `Bearer ${o.token}`);
        const bytes = o.raw ?? requestType.encode(requestType.fromPartial(request)).finish();
        this.#client.makeUnaryRequest(
          path,
          (raw: Uint8Array) => Buffer.from(raw),
          (raw: Buffer) => responseType.decode(raw),
          bytes,
          metadata,
          { deadline: Date.now() + DEADLINE_MS },
          (error, answer) => (error === null ? resolve(answer) : reject(refusedBy(error))),
        );
      });
  }
}

/** Serves what there is a handler for; gives its address and its end. */
export async function serve<D extends Definition>(
  definition: D,
  handlers: Handlers<D>,
): Promise<{ readonly address: string; close(): void }> {
  const server = new Server(ENOUGH);
  const methods: Record<string, object> = {};
  const work: Record<string, (call: ServerUnaryCall<never, Uint8Array>, done: Done) => void> = {};
  for (const [key, { name, requestType, responseType }] of Object.entries(definition.methods)) {
    const path = `/${definition.fullName}/${name}`;
    methods[key] = {
      path,
      requestStream: false,
      responseStream: false,
      requestSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
      requestDeserialize: (bytes: Buffer) => requestType.decode(bytes),
      responseSerialize: (bytes: Uint8Array) => Buffer.from(bytes),
      responseDeserialize: (bytes: Buffer) => bytes,
    };
    const handler = handlers[key as keyof D['methods']] as
      | ((request: never, token: string) => Promise<object>)
      | undefined;
    work[key] = (call, done) => {
      if (handler === undefined) return done(failure(new Refused(status.UNIMPLEMENTED)));
      const token = String(call.metadata.get('authorization')[0] ?? '').replace('Bearer ', '');
      void answered(handler(call.request, token), responseType, done);
    };
  }
  server.addService(methods as never, work as never);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

type Done = sendUnaryData<Uint8Array>;

async function answered(work: Promise<object>, type: Codec, done: Done): Promise<void> {
  try {
    const answer = await work;
    const raw = answer instanceof Uint8Array;
    done(null, raw ? answer : type.encode(type.fromPartial(answer)).finish());
  } catch (error) {
    done(failure(error));
  }
}

function failure(thrown: unknown): Partial<ServiceError> {
  const error = thrown instanceof Refused ? thrown : new Refused(status.INTERNAL, { reason: String(thrown) });
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(encodeStatus(error)));
  return { code: error.code, details: error.message, metadata };
}

/** google.rpc.Status with an ErrorInfo, and a RetryInfo where there is a time to wait. */
function encodeStatus({ code, message, reason, domain, details, retryAfterMs }: Refused): Uint8Array {
  const info = new BinaryWriter().uint32(10).string(reason).uint32(18).string(domain);
  for (const [key, value] of Object.entries(details))
    info.uint32(26).fork().uint32(10).string(key).uint32(18).string(value).join();
  const out = new BinaryWriter().uint32(8).int32(code).uint32(18).string(message);
  const any = (type: string, bytes: Uint8Array) =>
    out.uint32(26).fork().uint32(10).string(`${ANY}${type}`).uint32(18).bytes(bytes).join();
  any('ErrorInfo', info.finish());
  if (retryAfterMs !== undefined) {
    const [seconds, ms] = [Math.floor(retryAfterMs / 1000), retryAfterMs % 1000];
    const delay = new BinaryWriter().uint32(10).fork().uint32(8).int64(seconds);
    any(
      'RetryInfo',
      delay
        .uint32(16)
        .int32(ms * 1e6)
        .join()
        .finish(),
    );
  }
  return out.finish();
}

function refusedBy(error: ServiceError): Refused {
  const bytes = error.metadata?.get(DETAILS_KEY)[0];
  const about = { message: error.details };
  if (!(bytes instanceof Uint8Array)) return new Refused(error.code, { ...about, domain: '' });
  let found: Partial<Refused> = { ...about, domain: '' };
  for (const any of fields(bytes).filter((field) => field.no === 3)) {
    const [type, value] = [textIn(any.bytes, 1), bytesIn(any.bytes, 2)];
    if (type === `${ANY}ErrorInfo`) {
      const pairs = fields(value).filter((field) => field.no === 3);
      const details = Object.fromEntries(pairs.map(({ bytes: b }) => [textIn(b, 1), textIn(b, 2)]));
      found = { ...found, reason: textIn(value, 1), domain: textIn(value, 2), details };
    } else if (type === `${ANY}RetryInfo`) {
      const delay = fields(bytesIn(value, 1));
      const number = (no: number) => delay.find((field) => field.no === no)?.number ?? 0;
      found = { ...found, retryAfterMs: number(1) * 1000 + number(2) / 1e6 };
    }
  }
  return new Refused(error.code, found);
}

interface Field {
  readonly no: number;
  readonly bytes: Uint8Array;
  readonly number: number;
}

function fields(message: Uint8Array): Field[] {
  const reader = new BinaryReader(message);
  const all: Field[] = [];
  while (reader.pos < reader.len) {
    const [no, type] = reader.tag();
    if (type === 2) all.push({ no, bytes: reader.bytes(), number: 0 });
    else if (type === 0) all.push({ no, bytes: new Uint8Array(), number: Number(reader.int64()) });
    else reader.skip(type);
  }
  return all;
}

const bytesIn = (message: Uint8Array, no: number): Uint8Array =>
  fields(message).find((field) => field.no === no)?.bytes ?? new Uint8Array();
const textIn = (message: Uint8Array, no: number): string => Buffer.from(bytesIn(message, no)).toString();

/** The refusal that a call must end with. */
export async function refusal(call: Promise<unknown>): Promise<Refused> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

export async function reasonOf(call: Promise<unknown>): Promise<string> {
  return (await refusal(call)).reason;
}
