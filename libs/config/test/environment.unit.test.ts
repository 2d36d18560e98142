// Goal: folders, OTLP settings and children's environments follow the standards they name and leak no secrets.
// Method: give made-up environments and compare.

import { strict as assert } from 'node:assert';
import { childEnvironment, folders, keysFolder, otelSettings } from '@fleetwire/config';
import { describe, it } from 'mocha';

const common = {};

describe('folders', () => {
  it('keeps everything in FLEETWIRE_HOME when it is set', () => {
    assert.deepEqual(folders({ common: { home: '/x' } }, {}), {
      data: '/x/data',
      config: '/x/config',
      state: '/x/state',
    });
  });
  it('follows the XDG base folders, ignoring relative ones', () => {
    const env = { HOME: '/h', XDG_DATA_HOME: '/d', XDG_STATE_HOME: 'relative' };
    assert.deepEqual(folders({ common }, env), {
      data: '/d/fleetwire',
      config: '/h/.config/fleetwire',
      state: '/h/.local/state/fleetwire',
    });
  });
  it('gives root a folder that other users can pass, unless it is told otherwise', () => {
    const home = '/var/lib/fleetwire';
    const own = { data: `${home}/data`, config: `${home}/config`, state: `${home}/state` };
    assert.deepEqual(folders({ common }, { HOME: '/root' }, 0), own);
    assert.equal(folders({ common }, { HOME: '/h' }, 1000).data, '/h/.local/share/fleetwire');
    assert.equal(folders({ common }, { HOME: '/root', XDG_DATA_HOME: '/d' }, 0).data, '/d/fleetwire');
    assert.equal(folders({ common: { home: '/x' } }, {}, 0).data, '/x/data');
  });
  it('finds the keys', () => {
    assert.equal(keysFolder({ common, keys: { dir: '/k' } }, {}), '/k');
    assert.equal(keysFolder({ common: { home: '/x' }, keys: {} }, {}), '/x/data/keys');
  });
});

describe('otelSettings', () => {
  it('exports nothing unless an endpoint is given', () => {
    const settings = otelSettings({});
    assert.equal(settings.tracesUrl, undefined);
    assert.equal(settings.metricsUrl, undefined);
  });
  it('builds the URLs of the signals from the one endpoint', () => {
    const settings = otelSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318/' });
    assert.equal(settings.tracesUrl, 'http://c:4318/v1/traces');
    assert.equal(settings.metricsUrl, 'http://c:4318/v1/metrics');
  });
  it('takes a signal’s own endpoint as it is, and can be switched off', () => {
    const env = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/x' };
    assert.equal(otelSettings(env).tracesUrl, 'http://t/x');
    assert.equal(otelSettings(env).metricsUrl, undefined);
    assert.equal(otelSettings({ ...env, OTEL_SDK_DISABLED: 'true' }).tracesUrl, undefined);
    assert.equal(otelSettings({ ...env, OTEL_TRACES_EXPORTER: 'none' }).tracesUrl, undefined);
  });
  it('reads sampler, headers and resource attributes', () => {
    const settings = otelSettings({
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
      OTEL_EXPORTER_OTLP_HEADERS: 'a=b%20c, d=e=f,broken',
      OTEL_RESOURCE_ATTRIBUTES: 'zone=eu',
    });
    assert.equal(settings.sampler, 'traceidratio');
    assert.equal(settings.samplerArg, 0.25);
    assert.deepEqual(settings.headers, { a: 'b c', d: 'e=f' });
    assert.deepEqual(settings.resourceAttributes, { zone: 'eu' });
  });
});

describe('childEnvironment', () => {
  it('hands on the environment without secrets, and with what is given', () => {
    const env = {
      PATH: '/bin',
      FLEETWIRE_HOME: '/x',
      FLEETWIRE_DATABASE_URL: 'postgres://u:p@h/d',
      FLEETWIRE_API_KEY: 'fwk_1',
      FLEETWIRE_AGENT_TOKEN: 'inherited',
      FLEETWIRE_ELSEWHERE_TOKEN: 'x',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=x',
      GONE: undefined,
    };
    assert.deepEqual(childEnvironment({ FLEETWIRE_AGENT_TOKEN: 'own' }, env), {
      PATH: '/bin',
      FLEETWIRE_HOME: '/x',
      FLEETWIRE_AGENT_TOKEN: 'own',
    });
  });
});
