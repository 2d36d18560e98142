/** The door to logs, traces and metrics. */

export type { Attributes, Counter, Histogram, Meter } from '@opentelemetry/api';
export type { HopSpan, HopTracer } from './hop-tracer.ts';
export { silentTracer } from './hop-tracer.ts';
export { createLog, type DestinationStream, type Logger, type LogOptions, redacted } from './log.ts';
export { type OtlpSettings, startTelemetry, type Telemetry, type TelemetryOptions } from './telemetry.ts';
export {
  currentTraceparent,
  isSampled,
  isTraceparent,
  newTraceparent,
  runWithTrace,
  traceIdOf,
} from './traceparent.ts';
