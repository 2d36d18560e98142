/** Streams: created once by bootstrap, never altered, verified by everyone who starts. */

import type { StreamSpec } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';
import { differences, report } from './drift.ts';
import { ERR_CODES, isJetstreamError } from './jetstream-errors.ts';
import type { JetstreamApi } from './request.ts';

export interface StreamState {
  readonly messages: number;
  readonly bytes: number;
  /** Of the oldest message; one more than `lastSequence` when there is none. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly maxBytes: number;
  /** When it was made, by the broker's clock, RFC 3339: tells it from an earlier one of this name. */
  readonly created: string;
}

export interface SubjectCounts extends StreamState {
  /** Messages by subject. */
  readonly subjects: ReadonlyMap<string, number>;
}

export interface Streams {
  /**
   * Rejects failed_precondition: STREAM_MISSING, or STREAM_DRIFT whose message names every field that differs, in all
   * of the streams. Without `replicas` their number is not looked at.
   */
  verify(specs: readonly StreamSpec[], replicas?: number): Promise<void>;
  /** Creates what is missing, alters nothing, then verifies. */
  ensure(specs: readonly StreamSpec[], replicas: number): Promise<void>;
  /** Undefined when there is no such stream. */
  state(stream: string): Promise<StreamState | undefined>;
  /**
   * Would a bound of the stream refuse `bytes` more on `subject` now: that of one subject, or that of all its bytes?
   * False when there is no such stream. The server looks through its index for it: not for a hot path.
   */
  isFull(stream: string, subject: string, bytes: number): Promise<boolean>;
  /** Messages of one subject; the same cost. */
  count(stream: string, subject: string): Promise<number>;
  /**
   * Messages of each subject that `filter` means. Ends with the page of the server (100,000 subjects) by which there are
   * `subjectsMax`: what is beyond is left out. Undefined when there is no such stream. The same cost, and that of the pages.
   */
  countBySubject(stream: string, filter: string, subjectsMax: number): Promise<SubjectCounts | undefined>;
}

export interface StreamInfo {
  /** Subjects that were asked for, on all pages together. */
  readonly total?: number;
  /** When, by the broker's clock, RFC 3339. */
  readonly created: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly state: {
    readonly messages: number;
    readonly bytes: number;
    readonly first_seq: number;
    readonly last_seq: number;
    /** Messages of each subject that was asked for. */
    readonly subjects?: Readonly<Record<string, number>> | null;
  };
}

/** Bytes that a stored message takes beside its payload, at most: subject, headers and the record around them. */
const STORED_EXTRA_MAX = 1024;

/** Undefined when there is none of this name. */
export async function streamInfo(
  api: JetstreamApi,
  name: string,
  subject?: string,
  offset = 0,
): Promise<StreamInfo | undefined> {
  try {
    const body = subject === undefined ? undefined : { subjects_filter: subject, offset };
    return await api.call<StreamInfo>(`STREAM.INFO.${name}`, body);
  } catch (error) {
    if (isJetstreamError(error, ERR_CODES.streamNotFound)) return undefined;
    throw error;
  }
}

export function createStreams(api: JetstreamApi): Streams {
  return {
    verify: (specs, replicas) => verify(api, specs, replicas),
    async ensure(specs, replicas) {
      for (const spec of specs) {
        if ((await streamInfo(api, spec.name)) !== undefined) continue;
        await api.call(`STREAM.CREATE.${spec.name}`, { ...spec, storage: 'file', num_replicas: replicas });
      }
      await verify(api, specs, replicas);
    },
    async isFull(stream, subject, bytes) {
      const info = await streamInfo(api, stream, subject);
      if (info === undefined) return false;
      const perSubject = Number(info.config['max_msgs_per_subject'] ?? -1);
      if (perSubject > 0 && (info.state.subjects?.[subject] ?? 0) >= perSubject) return true;
      const maxBytes = Number(info.config['max_bytes'] ?? -1);
      return maxBytes > 0 && info.state.bytes + bytes + STORED_EXTRA_MAX > maxBytes;
    },
    async count(stream, subject) {
      return (await streamInfo(api, stream, subject))?.state.subjects?.[subject] ?? 0;
    },
    async state(stream) {
      const info = await streamInfo(api, stream);
      return info && stateOf(info);
    },
    countBySubject: (stream, filter, subjectsMax) => countBySubject(api, stream, filter, subjectsMax),
  };
}

function stateOf({ state, config, created }: StreamInfo): StreamState {
  const { messages, bytes, first_seq: firstSequence, last_seq: lastSequence } = state;
  const maxBytes = Number(config['max_bytes'] ?? -1);
  return { messages, bytes, firstSequence, lastSequence, maxBytes, created };
}

async function countBySubject(
  api: JetstreamApi,
  stream: string,
  filter: string,
  subjectsMax: number,
): Promise<SubjectCounts | undefined> {
  const subjects = new Map<string, number>();
  for (let offset = 0; ; ) {
    const info = await streamInfo(api, stream, filter, offset);
    if (info === undefined) return undefined;
    const page = Object.entries(info.state.subjects ?? {});
    for (const [subject, count] of page) subjects.set(subject, count);
    // Not by the size of the map: subjects come and go between two pages.
    offset += page.length;
    if (page.length === 0 || offset >= Math.min(info.total ?? 0, subjectsMax))
      return { ...stateOf(info), subjects };
  }
}

async function verify(api: JetstreamApi, specs: readonly StreamSpec[], replicas?: number): Promise<void> {
  const missing: string[] = [];
  const drifted: string[] = [];
  for (const spec of specs) {
    const info = await streamInfo(api, spec.name);
    if (info === undefined) {
      missing.push(spec.name);
      continue;
    }
    const wanted: Record<string, unknown> = { ...spec, storage: 'file' };
    if (replicas !== undefined) wanted['num_replicas'] = replicas;
    const list = differences(wanted, info.config);
    if (list.length > 0) drifted.push(report(`stream ${spec.name}`, list));
  }
  if (missing.length > 0) {
    throw new FleetwireError('failed_precondition', 'STREAM_MISSING', `no stream ${missing.join(', ')}`, {
      help: 'Run `fleetwire bootstrap` against these servers.',
      details: { streams: missing.join(',') },
    });
  }
  if (drifted.length > 0) throw drift('STREAM_DRIFT', drifted);
}

export function drift(reason: string, reports: readonly string[]): FleetwireError {
  return new FleetwireError('failed_precondition', reason, reports.join('. '), {
    help: 'Correct the configuration, or change the broker by hand: a service never alters what holds messages.',
  });
}
