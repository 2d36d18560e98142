// Goal: sampled hops are recorded as one chain of spans; others cost nothing and change nothing.
// Method: trace into memory and compare ids, parents, kinds and states.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { isSampled, isTraceparent, newTraceparent, startTelemetry, traceIdOf } from '@fleetwire/telemetry';
import { SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { InMemorySpanExporter } from '@opentelemetry/sdk-trace';
import { describe, it } from 'mocha';

const base = { service: 's', instance: 's-1', version: '1', level: 'silent' };
const spy = () => {
  const calls: number[] = [];
  const attributes = () => {
    calls.push(1);
    return {};
  };
  return { calls, attributes };
};

/** Spans survive in the memory only until shutdown. */
function recording(otlp: { sampler?: string; samplerArg?: number } = {}) {
  const exporter = new InMemorySpanExporter();
  const kept: ReturnType<typeof exporter.getFinishedSpans> = [];
  const keep = exporter.export.bind(exporter);
  exporter.export = (spans, done) => {
    kept.push(...spans);
    keep(spans, done);
  };
  return { kept, ...startTelemetry({ ...base, otlp, spanExporter: exporter }) };
}

describe('HopTracer', () => {
  it('passes the parent on when nothing is exported', () => {
    const { tracer } = startTelemetry(base);
    const { calls, attributes } = spy();
    const parent = newTraceparent(true);
    assert.equal(tracer.hop('x', parent, attributes).traceparent, parent);
    assert.equal(calls.length, 0);
    const begun = tracer.hop('x', '').traceparent;
    assert.ok(isTraceparent(begun) && !isSampled(begun));
  });

  it('passes an unsampled parent on, attributes untouched', async () => {
    const telemetry = recording();
    const { calls, attributes } = spy();
    const parent = newTraceparent(false);
    const hop = telemetry.tracer.hop('x', parent, attributes);
    hop.end();
    assert.equal(hop.traceparent, parent);
    assert.equal(calls.length, 0);
    await telemetry.shutdown();
    assert.equal(telemetry.kept.length, 0);
  });

  it('chains the hops of a sampled trace', async () => {
    const telemetry = recording();
    const first = telemetry.tracer.hop('accept', '', () => ({ 'messaging.operation.type': 'send' }));
    const second = telemetry.tracer.hop('route', first.traceparent);
    second.end(new FleetwireError('not_found', 'UNKNOWN_AGENT', 'nobody'));
    first.end();
    await telemetry.shutdown();
    const [route, accept] = telemetry.kept;
    assert.equal(traceIdOf(first.traceparent), traceIdOf(second.traceparent));
    assert.equal(route?.parentSpanContext?.spanId, accept?.spanContext().spanId);
    assert.equal(accept?.kind, SpanKind.PRODUCER);
    assert.equal(route?.status.code, SpanStatusCode.ERROR);
    assert.match(route?.status.message ?? '', /UNKNOWN_AGENT/);
  });

  it('lets the sampler decide at the root only', async () => {
    const telemetry = recording({ sampler: 'parentbased_traceidratio', samplerArg: 0 });
    const root = telemetry.tracer.hop('x', '');
    assert.ok(isTraceparent(root.traceparent) && !isSampled(root.traceparent));
    root.end();
    telemetry.tracer.hop('y', newTraceparent(true)).end();
    await telemetry.shutdown();
    assert.deepEqual(
      telemetry.kept.map((span) => span.name),
      ['y'],
    );
  });
});
