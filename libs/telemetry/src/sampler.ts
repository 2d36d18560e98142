/** Which new traces are recorded; a trace that came in keeps the decision of whoever began it. */

import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace';

/** By the names of OTEL_TRACES_SAMPLER, with or without `parentbased_`; an unknown name records everything. */
export function rootSampler(name: string, ratio: number): Sampler {
  return new ParentBasedSampler({ root: byName(name.replace(/^parentbased_/, ''), ratio) });
}

function byName(name: string, ratio: number): Sampler {
  if (name === 'always_off') return new AlwaysOffSampler();
  if (name === 'traceidratio') return new TraceIdRatioBasedSampler(ratio);
  return new AlwaysOnSampler();
}
