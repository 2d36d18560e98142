/** Durable consumers: made and verified, never added over another. */

import type { ConsumerSpec, StreamName } from '@fleetwire/contract';
import { FleetwireError, pause } from '@fleetwire/kernel';
import { differences, report } from './drift.ts';
import { ERR_CODES, isJetstreamError } from './jetstream-errors.ts';
import type { JetstreamApi } from './request.ts';
import { drift } from './streams.ts';

export interface ConsumerState {
  /** All messages of the filter up to this stream sequence are acknowledged. */
  readonly ackFloor: number;
  /** Messages that were not delivered yet. */
  readonly numPending: number;
  /** Messages that were delivered and not acknowledged. */
  readonly numAckPending: number;
  /** Stream sequence of the last delivery. */
  readonly delivered: number;
  /** Delivery sequence of the last delivery. */
  readonly deliveredSequence: number;
}

export interface Consumers {
  /**
   * Creates and verifies. When there is one already: fine if it is the same, else failed_precondition CONSUMER_DRIFT;
   * an existing one is never altered. `startSequence`: the first stream sequence that it gives.
   */
  create(spec: ConsumerSpec, o?: { startSequence?: number }): Promise<void>;
  /** As `create`, but one that is there already may have begun anywhere. False: it was there. */
  open(spec: ConsumerSpec): Promise<boolean>;
  /** Rejects failed_precondition: CONSUMER_MISSING, CONSUMER_DRIFT (names every field). */
  verify(spec: ConsumerSpec): Promise<void>;
  /** Undefined when there is no such consumer, or no such stream. */
  info(stream: StreamName, name: string): Promise<ConsumerState | undefined>;
  list(stream: StreamName): Promise<string[]>;
  /** False when there was none. */
  remove(stream: StreamName, name: string): Promise<boolean>;
  /** Removes what there is and creates it anew: all that was not acknowledged comes again, first and in order. */
  recreate(spec: ConsumerSpec): Promise<void>;
}

interface ConsumerInfo {
  readonly config: Readonly<Record<string, unknown>>;
  readonly ack_floor: { readonly stream_seq: number };
  readonly delivered: { readonly stream_seq: number; readonly consumer_seq: number };
  readonly num_pending: number;
  readonly num_ack_pending: number;
}

const CREATE_TRIES = 5;
const CREATE_PAUSE_MS = 100;

export function createConsumers(api: JetstreamApi): Consumers {
  const consumers: Consumers = {
    create: (spec, o = {}) => create(api, spec, o.startSequence),
    async open(spec) {
      if ((await infoOf(api, spec.stream, spec.durable_name)) === undefined) {
        await create(api, spec, undefined);
        return true;
      }
      await consumers.verify(spec);
      return false;
    },
    verify: (spec) => verify(api, spec, wantedConfig(spec, undefined, true)),
    async info(stream, name) {
      const info = await infoOf(api, stream, name);
      if (info === undefined) return undefined;
      return {
        ackFloor: floorOf(info),
        numPending: info.num_pending,
        numAckPending: info.num_ack_pending,
        delivered: info.delivered.stream_seq,
        deliveredSequence: info.delivered.consumer_seq,
      };
    },
    list: (stream) => names(api, stream),
    remove: (stream, name) => remove(api, stream, name),
    async recreate(spec) {
      await remove(api, spec.stream, spec.durable_name);
      await create(api, spec, undefined);
    },
  };
  return consumers;
}

/** 2.9 says 0 while nothing is acknowledged, wherever the consumer began. */
function floorOf(info: ConsumerInfo): number {
  const start = info.config['opt_start_seq'];
  return Math.max(info.ack_floor.stream_seq, typeof start === 'number' ? start - 1 : 0);
}

/** With `anyStart` where it began does not matter. */
function wantedConfig(
  spec: ConsumerSpec,
  startSequence: number | undefined,
  anyStart = false,
): Record<string, unknown> {
  const { stream: _stream, deliver_policy, opt_start_time, ...config } = spec;
  if (anyStart) return config;
  if (startSequence === undefined)
    return { ...config, deliver_policy, ...(opt_start_time === undefined ? {} : { opt_start_time }) };
  return { ...config, deliver_policy: 'by_start_sequence', opt_start_seq: startSequence };
}

async function create(
  api: JetstreamApi,
  spec: ConsumerSpec,
  startSequence: number | undefined,
): Promise<void> {
  const wanted = wantedConfig(spec, startSequence);
  const { stream, durable_name: name, filter_subject: filter } = spec;
  const there = await infoOf(api, stream, name);
  if (there !== undefined) return compare(spec, wanted, there);
  const body = { stream_name: stream, config: { ...wanted, name, replay_policy: 'instant' } };
  for (let attempt = 1; ; attempt++) {
    try {
      await api.call(`CONSUMER.CREATE.${stream}.${name}.${filter}`, body);
    } catch (error) {
      // On a work queue the removed one may keep its filter for a moment.
      const lingers = isJetstreamError(error, ERR_CODES.overlappingFilter, ERR_CODES.notUniqueFilter);
      if (!lingers || attempt >= CREATE_TRIES) throw error;
      await pause(CREATE_PAUSE_MS);
      continue;
    }
    const made = await infoOf(api, stream, name);
    if (made !== undefined) return compare(spec, wanted, made);
    if (attempt >= CREATE_TRIES) throw missing(spec);
    await pause(CREATE_PAUSE_MS);
  }
}

async function verify(api: JetstreamApi, spec: ConsumerSpec, wanted: Record<string, unknown>): Promise<void> {
  const info = await infoOf(api, spec.stream, spec.durable_name);
  if (info === undefined) throw missing(spec);
  compare(spec, wanted, info);
}

function compare(spec: ConsumerSpec, wanted: Record<string, unknown>, info: ConsumerInfo): void {
  const list = differences(wanted, info.config);
  if (list.length > 0) throw drift('CONSUMER_DRIFT', [report(`consumer ${spec.durable_name}`, list)]);
}

function missing(spec: ConsumerSpec): FleetwireError {
  const { stream, durable_name } = spec;
  return new FleetwireError(
    'failed_precondition',
    'CONSUMER_MISSING',
    `${stream} has no consumer ${durable_name}`,
    {
      help: 'Run `fleetwire bootstrap` against these servers.',
      details: { stream, consumer: durable_name },
    },
  );
}

/** Undefined when the consumer, or its stream, is not there. */
export async function infoOf(
  api: JetstreamApi,
  stream: string,
  name: string,
): Promise<ConsumerInfo | undefined> {
  try {
    return await api.call<ConsumerInfo>(`CONSUMER.INFO.${stream}.${name}`);
  } catch (error) {
    if (isJetstreamError(error, ERR_CODES.consumerNotFound, ERR_CODES.streamNotFound)) return undefined;
    throw error;
  }
}

async function names(api: JetstreamApi, stream: string): Promise<string[]> {
  const all: string[] = [];
  for (;;) {
    const page = await api.call<{ total: number; consumers?: string[] | null }>(`CONSUMER.NAMES.${stream}`, {
      offset: all.length,
    });
    const found = page.consumers ?? [];
    all.push(...found);
    if (found.length === 0 || all.length >= page.total) return all;
  }
}

async function remove(api: JetstreamApi, stream: string, name: string): Promise<boolean> {
  try {
    await api.call(`CONSUMER.DELETE.${stream}.${name}`);
    return true;
  } catch (error) {
    if (isJetstreamError(error, ERR_CODES.consumerNotFound)) return false;
    throw error;
  }
}
