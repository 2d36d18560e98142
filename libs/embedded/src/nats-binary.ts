/** Finding the nats-server program. */

import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { FleetwireError } from '@fleetwire/kernel';

/** Where packages of the systems we know put it; services often run with a PATH that lacks these. */
const USUAL_PLACES = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/opt/homebrew/bin'];

/**
 * The path to run: `binary` itself when it holds a slash, else looked up in `searchPath` (like PATH) and the usual
 * places. Throws NATS_SERVER_MISSING, with what to install as help.
 */
export function findNatsServer(binary = 'nats-server', searchPath = ''): string {
  const places = [...searchPath.split(delimiter).filter((place) => place !== ''), ...USUAL_PLACES];
  const candidates = binary.includes('/') ? [binary] : places.map((place) => join(place, binary));
  const found = candidates.find(isProgram);
  if (found !== undefined) return found;
  throw natsServerMissing(binary);
}

export function natsServerMissing(binary: string, cause?: unknown): FleetwireError {
  const install =
    process.platform === 'darwin' ? '`brew install nats-server`' : '`apt-get install nats-server`';
  return new FleetwireError('failed_precondition', 'NATS_SERVER_MISSING', `${binary} cannot be run`, {
    help: `Install it (${install}), or name its path in FLEETWIRE_NATS_SERVER.`,
    details: { binary },
    cause,
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
