// Goal: with an endpoint given, spans and metrics leave by OTLP; a collector that is away or mute holds nobody up.
// Method: a small HTTP server in place of the collector, one that never answers, and none.

import { strict as assert } from 'node:assert';
import { createServer, type Server } from 'node:http';
import { startTelemetry } from '@fleetwire/telemetry';
import { describe, it } from 'mocha';

const base = { service: 'org', instance: 'org-1', version: '1', level: 'silent' };

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
}

function work(otlp: Record<string, unknown>) {
  const telemetry = startTelemetry({ ...base, otlp });
  telemetry.meter.createCounter('fleetwire.test.count').add(3);
  telemetry.tracer.hop('hop-of-the-test', '').end();
  return telemetry;
}

describe('OTLP', function () {
  this.timeout(20_000);

  it('carries spans, metrics and the resource, with the given headers', async () => {
    const got = new Map<string, string>();
    const headers: unknown[] = [];
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part) => parts.push(part));
      request.on('end', () => {
        got.set(request.url ?? '', Buffer.concat(parts).toString('latin1'));
        headers.push(request.headers['x-tenant']);
        response.end();
      });
    });
    const url = await listening(server);
    const otlp = {
      tracesUrl: `${url}/v1/traces`,
      metricsUrl: `${url}/v1/metrics`,
      headers: { 'x-tenant': 'acme' },
    };
    await work(otlp).shutdown();
    assert.match(got.get('/v1/traces') ?? '', /hop-of-the-test/);
    assert.match(got.get('/v1/metrics') ?? '', /fleetwire\.test\.count/);
    for (const body of got.values()) assert.match(body, /service\.instance\.id.*org-1/s);
    assert.deepEqual(headers, ['acme', 'acme']);
    server.close();
  });

  it('does not keep a service from ending when the collector is away or mute', async () => {
    const gone = createServer();
    const goneUrl = await listening(gone);
    await new Promise((resolve) => gone.close(resolve));
    await work({ tracesUrl: `${goneUrl}/v1/traces`, metricsUrl: `${goneUrl}/v1/metrics` }).shutdown();
    const mute = createServer(() => undefined);
    const muteUrl = await listening(mute);
    await work({ tracesUrl: `${muteUrl}/v1/traces`, metricsUrl: `${muteUrl}/v1/metrics` }).shutdown();
    mute.closeAllConnections();
    mute.close();
  });
});
