/** What else comes from the process's environment: folders, OTLP settings, and what a child process inherits. */

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { z } from 'zod';
import type { Environment } from './load.ts';
import { definedKeys, envKey, isSecret } from './section.ts';

export interface Folders {
  /** Databases, streams, keys. */
  readonly data: string;
  /** Contexts of the command line. */
  readonly config: string;
  /** Logs, locks, sockets. */
  readonly state: string;
}

/** Root's own: its home folder is closed to the user that PostgreSQL must run as. */
const ROOT_HOME = '/var/lib/fleetwire';
const XDG = ['XDG_DATA_HOME', 'XDG_CONFIG_HOME', 'XDG_STATE_HOME'];

/**
 * FLEETWIRE_HOME with a subfolder each, else the XDG base folders
 * (https://specifications.freedesktop.org/basedir/latest/); for root, where none of these is set, /var/lib/fleetwire.
 */
export function folders(
  config: { readonly common: { readonly home?: string | undefined } },
  env: Environment = process.env,
  uid: number | undefined = process.getuid?.(),
): Folders {
  const asRoot = uid === 0 && !XDG.some((name) => env[name]?.startsWith('/'));
  const home = config.common.home ?? (asRoot ? ROOT_HOME : undefined);
  if (home !== undefined) {
    const below = (name: string) => join(resolve(home), name);
    return { data: below('data'), config: below('config'), state: below('state') };
  }
  const user = env['HOME'] || homedir();
  const base = (name: string, fallback: string) => {
    const given = env[name];
    return join(given?.startsWith('/') ? given : join(user, fallback), 'fleetwire');
  };
  return {
    data: base('XDG_DATA_HOME', '.local/share'),
    config: base('XDG_CONFIG_HOME', '.config'),
    state: base('XDG_STATE_HOME', '.local/state'),
  };
}

/** The keys folder: as configured, else within the data folder. */
export function keysFolder(
  config: {
    readonly common: { readonly home?: string | undefined };
    readonly keys: { readonly dir?: string | undefined };
  },
  env: Environment = process.env,
): string {
  return config.keys.dir ?? join(folders(config, env).data, 'keys');
}

/**
 * The standard OTEL_* variables that are honoured, as plain data.
 * https://opentelemetry.io/docs/specs/otel/protocol/exporter/
 */
export interface OtelSettings {
  /** Full URL for traces; undefined: no export. */
  readonly tracesUrl?: string;
  readonly metricsUrl?: string;
  readonly headers: Readonly<Record<string, string>>;
  /** always_on, always_off, traceidratio or their parentbased_ forms. */
  readonly sampler: string;
  /** 0 to 1. */
  readonly samplerArg: number;
  readonly resourceAttributes: Readonly<Record<string, string>>;
}

export function otelSettings(env: Environment = process.env): OtelSettings {
  const off = env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true';
  const base = env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const url = (own: string | undefined, path: string, exporter: string | undefined) => {
    if (off || exporter === 'none') return undefined;
    return own || (base ? `${base.replace(/\/+$/, '')}/v1/${path}` : undefined);
  };
  const tracesUrl = url(env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'], 'traces', env['OTEL_TRACES_EXPORTER']);
  const metricsUrl = url(env['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT'], 'metrics', env['OTEL_METRICS_EXPORTER']);
  const ratio = Number(env['OTEL_TRACES_SAMPLER_ARG'] || '1');
  return {
    ...(tracesUrl === undefined ? {} : { tracesUrl }),
    ...(metricsUrl === undefined ? {} : { metricsUrl }),
    headers: pairs(env['OTEL_EXPORTER_OTLP_HEADERS']),
    sampler: env['OTEL_TRACES_SAMPLER'] || 'parentbased_always_on',
    samplerArg: ratio >= 0 && ratio <= 1 ? ratio : 1,
    resourceAttributes: pairs(env['OTEL_RESOURCE_ATTRIBUTES']),
  };
}

/** `a=b,c=d` with percent-encoded values, as in W3C Baggage; what is no pair is skipped. */
function pairs(text: string | undefined): Record<string, string> {
  const found: Record<string, string> = {};
  for (const part of (text ?? '').split(',')) {
    const at = part.indexOf('=');
    if (at <= 0) continue;
    const value = part.slice(at + 1).trim();
    try {
      found[part.slice(0, at).trim()] = decodeURIComponent(value);
    } catch {
      found[part.slice(0, at).trim()] = value;
    }
  }
  return found;
}

const SECRET_NAME = /_(TOKEN|SECRET|PASSWORD|API_KEY|SEED|JWT|CREDS)$/;

/**
 * The process's environment for a child, without secrets of Fleetwire and of OTLP; `extra` is added and wins.
 * A child that needs a secret gets it by `extra`.
 */
export function childEnvironment(
  extra: Readonly<Record<string, string>> = {},
  env: Environment = process.env,
): Record<string, string> {
  const secret = secretKeys();
  const child: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || secret.has(name)) continue;
    if (name.startsWith('FLEETWIRE_') && SECRET_NAME.test(name)) continue;
    if (/^OTEL_EXPORTER_OTLP_.*HEADERS$/.test(name)) continue;
    child[name] = value;
  }
  return { ...child, ...extra };
}

function secretKeys(): Set<string> {
  const found = new Set<string>();
  for (const [name, section] of definedKeys())
    for (const [key, schema] of Object.entries(section.shape))
      if (envKey(section, key) === name && isSecret(schema as z.ZodType)) found.add(name);
  return found;
}
