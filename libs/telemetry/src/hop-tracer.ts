/** Spans for the hops of a message: nearly free while the trace is not sampled. */

import { causeChain } from '@fleetwire/kernel';
import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { isSampled, isTraceparent, newTraceparent } from './traceparent.ts';

export interface HopSpan {
  /** What the next hop gets as its parent. */
  readonly traceparent: string;
  /** Ends the span; with `error` it is marked as failed. */
  end(error?: unknown): void;
}

export interface HopTracer {
  /**
   * Begins the span of one hop. `parent` is a traceparent; what is none starts a new trace. When the parent is not
   * sampled or nothing is exported, the traceparent is the parent's own, and `attributes` is not called.
   */
  hop(name: string, parent: string, attributes?: () => Attributes): HopSpan;
}

class PassThrough implements HopSpan {
  readonly traceparent: string;
  constructor(traceparent: string) {
    this.traceparent = traceparent;
  }
  end(): void {}
}

class RecordedHop implements HopSpan {
  readonly traceparent: string;
  readonly #span: Span;

  constructor(span: Span) {
    const { traceId, spanId, traceFlags } = span.spanContext();
    this.#span = span;
    this.traceparent = `00-${traceId}-${spanId}-${(traceFlags & 1) === 1 ? '01' : '00'}`;
  }

  end(error?: unknown): void {
    if (error !== undefined) this.#span.setStatus({ code: SpanStatusCode.ERROR, message: causeChain(error) });
    this.#span.end();
  }
}

/** Records nothing; new traces get an id all the same, so that logs and hop records can be put together. */
export const silentTracer: HopTracer = {
  hop: (_name, parent) => new PassThrough(isTraceparent(parent) ? parent : newTraceparent()),
};

/** Records sampled traces with `tracer`, whose sampler decides for new ones. */
export function recordingTracer(tracer: Tracer): HopTracer {
  return {
    hop(name, parent, attributes) {
      const known = parent !== '' && isTraceparent(parent);
      if (known && !isSampled(parent)) return new PassThrough(parent);
      const given = attributes?.() ?? {};
      const context = known ? trace.setSpanContext(ROOT_CONTEXT, remote(parent)) : ROOT_CONTEXT;
      return new RecordedHop(tracer.startSpan(name, { attributes: given, kind: kindOf(given) }, context));
    },
  };
}

function remote(parent: string) {
  return { traceId: parent.slice(3, 35), spanId: parent.slice(36, 52), traceFlags: 1, isRemote: true };
}

/** As the messaging conventions pair them: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/. */
function kindOf(attributes: Attributes): SpanKind {
  switch (attributes['messaging.operation.type']) {
    case 'create':
    case 'send':
    case 'publish':
      return SpanKind.PRODUCER;
    case 'receive':
    case 'process':
      return SpanKind.CONSUMER;
    default:
      return attributes['rpc.system'] === undefined ? SpanKind.INTERNAL : SpanKind.SERVER;
  }
}
