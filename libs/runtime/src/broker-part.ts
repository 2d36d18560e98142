/** The broker as a part of a service's life: connected, verified, drained at the end. */

import type { Broker } from '@fleetwire/broker';
import { type FabricRecord, ORGS_BUCKET } from '@fleetwire/contract';
import { FleetwireError } from '@fleetwire/kernel';
import { brokerAccess, type DependencyOptions, openServiceBroker } from './dependencies.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { BrokerNeeds } from './service.ts';

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
    () => openServiceBroker(withOrgs(needs, keysDir), access, options, (error) => life.fail(error)),
    // Without a connection there is nothing to drain, and nobody who would say that it is done.
    ({ broker: it }, how) => (how.forced || !it.connected() ? it.close() : it.drain()),
  );
  broker.onClosed((error) => {
    if (!life.leaving.aborted) life.fail(connectionClosed(error));
  });
  return { broker, fabric };
}

/** Whoever believes tokens has to know which of them are revoked. */
function withOrgs(needs: BrokerNeeds, keysDir: string | undefined): BrokerNeeds {
  return keysDir === undefined ? needs : { ...needs, buckets: [...(needs.buckets ?? []), ORGS_BUCKET] };
}

function connectionClosed(cause: unknown): FleetwireError {
  return new FleetwireError('unavailable', 'BROKER_CLOSED', 'the connection to NATS ended for good', {
    help: 'Look at the cause in the log; credentials may have been revoked.',
    cause,
  });
}
