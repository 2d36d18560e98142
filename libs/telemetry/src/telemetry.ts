/** The one place where OpenTelemetry is set up: nothing is global, so several services can share a process. */

import { createNoopMeter, type Meter } from '@opentelemetry/api';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import { type HopTracer, recordingTracer, silentTracer } from './hop-tracer.ts';
import { createLog, type DestinationStream, type Logger } from './log.ts';
import { rootSampler } from './sampler.ts';

/** The standard OTEL_* settings, as `otelSettings` of the configuration reads them. */
export interface OtlpSettings {
  /** Full URL; undefined: traces are not exported. */
  readonly tracesUrl?: string | undefined;
  readonly metricsUrl?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly sampler?: string;
  readonly samplerArg?: number;
  readonly resourceAttributes?: Readonly<Record<string, string>>;
  readonly metricsIntervalMs?: number;
}

export interface TelemetryOptions {
  readonly service: string;
  readonly instance: string;
  readonly version: string;
  readonly level: string;
  readonly stream?: DestinationStream | undefined;
  /** Nothing is exported without it. */
  readonly otlp?: OtlpSettings | undefined;
  /** Instead of OTLP, for tests. */
  readonly spanExporter?: SpanExporter | undefined;
}

export interface Telemetry {
  readonly log: Logger;
  readonly tracer: HopTracer;
  readonly meter: Meter;
  /** Sends what is left, for at most three seconds; never rejects. */
  shutdown(): Promise<void>;
}

/** Spans that wait for export at most; more are dropped. */
const SPAN_QUEUE_MAX = 8192;
const SHUTDOWN_MS = 3_000;

export function startTelemetry(options: TelemetryOptions): Telemetry {
  const log = createLog(options);
  const resource = resourceFromAttributes({
    ...options.otlp?.resourceAttributes,
    'service.namespace': 'fleetwire',
    'service.name': options.service,
    'service.instance.id': options.instance,
    'service.version': options.version,
  });
  const traces = startTraces(options, resource);
  const metrics = startMetrics(options, resource);
  return {
    log,
    tracer: traces ? recordingTracer(traces.getTracer('fleetwire', options.version)) : silentTracer,
    meter: metrics?.getMeter('fleetwire', options.version) ?? createNoopMeter(),
    shutdown: () => shutdown([traces, metrics], log),
  };
}

function startTraces(options: TelemetryOptions, resource: Resource): TracerProvider | undefined {
  const { otlp } = options;
  const exporter =
    options.spanExporter ??
    (otlp?.tracesUrl
      ? new OTLPTraceExporter({ url: otlp.tracesUrl, headers: { ...otlp.headers } })
      : undefined);
  if (!exporter) return undefined;
  return new TracerProvider({
    resource,
    sampler: rootSampler(otlp?.sampler ?? 'always_on', otlp?.samplerArg ?? 1),
    spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize: SPAN_QUEUE_MAX })],
  });
}

function startMetrics(options: TelemetryOptions, resource: Resource): MeterProvider | undefined {
  const { otlp } = options;
  if (!otlp?.metricsUrl) return undefined;
  const exporter = new OTLPMetricExporter({ url: otlp.metricsUrl, headers: { ...otlp.headers } });
  const exportIntervalMillis = otlp.metricsIntervalMs ?? 15_000;
  const exportTimeoutMillis = Math.min(exportIntervalMillis, 10_000);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis, exportTimeoutMillis });
  return new MeterProvider({ resource, readers: [reader] });
}

async function shutdown(
  providers: readonly ({ shutdown(): Promise<void> } | undefined)[],
  log: Logger,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, SHUTDOWN_MS);
  });
  const all = Promise.allSettled(providers.map(async (provider) => provider?.shutdown()));
  await Promise.race([all, late]);
  clearTimeout(timer);
  log.flush?.();
}
