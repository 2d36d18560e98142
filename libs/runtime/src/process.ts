/** What a service's own process does about signals, failed starts and its exit. One service per process uses this. */

import { ERROR_TABLE } from '@fleetwire/contract';
import { asFleetwireError, type FleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import type { Lifecycle } from './lifecycle.ts';

export interface ProcessHandle {
  /** From here on a signal ends this life in good order. */
  attach(life: Lifecycle, log: Logger): void;
  /** Exits when the life has ended: 0 when it was stopped, else by the kind of its fault. */
  exitWhenEnded(life: Lifecycle): void;
  /** Says what is wrong in one line on stderr, and exits. A start that a signal ended exits with 0. */
  exitWith(error: unknown): never;
}

const SIGNALS = { SIGINT: 2, SIGTERM: 15 } as const;

/** Takes SIGTERM and SIGINT over: the first ends the service in good order, the second exits at once (128 + number). */
export function takeProcess(service: string): ProcessHandle {
  let life: Lifecycle | undefined;
  let signals = 0;
  for (const [signal, number] of Object.entries(SIGNALS))
    process.on(signal, () => {
      signals += 1;
      if (signals > 1 || !life) process.exit(128 + number);
      life.stop(signal).catch(() => undefined);
    });
  const exitWith = (thrown: unknown): never => {
    const error = asFleetwireError(thrown);
    if (error.reason === 'STOPPING' && signals > 0) process.exit(0);
    process.stderr.write(`${errorLine(service, error)}\n`);
    process.exit(ERROR_TABLE[error.kind].exit);
  };
  return {
    attach(started, log) {
      life = started;
      const onFault = (thrown: unknown) => {
        log.fatal({ err: thrown }, 'an error that nobody handled');
        exitWith(thrown);
      };
      process.on('uncaughtException', onFault);
      process.on('unhandledRejection', onFault);
    },
    exitWhenEnded(ended) {
      ended.ended.then(() => process.exit(0), exitWith);
    },
    exitWith,
  };
}

/** `fleetwire org: DATABASE_AWAY: what happened. What to do.` on one line. */
export function errorLine(service: string, error: FleetwireError): string {
  const message = error.message.replace(/[.\s]+$/, '');
  const text = `fleetwire ${service}: ${error.reason}: ${message}.${error.help ? ` ${error.help}` : ''}`;
  return text.replace(/\s+/g, ' ');
}
