/** For the bootstrap of a test's fabric: a server sets aside what its streams may hold. */

const MiB = 1024 * 1024;

export const SMALL_STREAMS = {
  ingress_max_bytes: MiB,
  inbox_max_bytes: MiB,
  receipts_max_bytes: MiB,
  dead_max_bytes: MiB,
  events_max_bytes: MiB,
  messages_max_bytes: MiB,
};
