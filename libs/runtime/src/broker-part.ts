/** The broker as a part of a service's life: connected, verified, its clock measured, drained at the end. */

import type { Broker } from '@fleetwire/broker';
import type { FabricRecord } from '@fleetwire/contract';
import { causeChain, FleetwireError } from '@fleetwire/kernel';
import type { Logger } from '@fleetwire/telemetry';
import { brokerAccess, type DependencyOptions, openServiceBroker } from './dependencies.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { BrokerNeeds } from './service.ts';

/** Between two measurements of the offset to the broker's clock. */
const CLOCK_MS = 60_000;

export async function brokerPart(
  needs: BrokerNeeds,
  keysDir: string | undefined,
  nats: Parameters<typeof brokerAccess>[2],
  options: DependencyOptions,
  life: Lifecycle,
): Promise<{ broker: Broker; fabric: FabricRecord }> {
  const access = brokerAccess(options.name, keysDir, nats);
  const { broker, fabric } = await life.open(
    'broker',
    () => openServiceBroker(needs, access, options),
    // Without a connection there is nothing to drain, and nobody who would say that it is done.
    ({ broker: it }, how) => (how.forced || !it.connected() ? it.close() : it.drain()),
  );
  broker.onClosed((error) => {
    if (!life.leaving.aborted) life.fail(connectionClosed(error));
  });
  await life.open(
    'clock',
    () => setInterval(() => measure(broker, options.log), CLOCK_MS),
    (timer) => clearInterval(timer),
  );
  return { broker, fabric };
}

/** A measurement that fails leaves the offset as it was: clocks drift by microseconds a minute. */
function measure(broker: Broker, log: Logger): void {
  if (!broker.connected()) return;
  broker.clock
    .measure()
    .catch((error) => log.debug({ cause: causeChain(error) }, 'the broker’s clock was not measured'));
}

function connectionClosed(cause: unknown): FleetwireError {
  return new FleetwireError('unavailable', 'BROKER_CLOSED', 'the connection to NATS ended for good', {
    help: 'Look at the cause in the log; credentials may have been revoked.',
    cause,
  });
}
