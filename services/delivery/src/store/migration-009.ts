/** Migration 011: replays by their request, and defaults by which a release from before partitions can write messages. */

import { Migration } from '@fleetwire/store';

export class LateDefaults extends Migration {
  override up(): void {
    this.addSql(`create index replays_by_request on replays (request_id, stored_at_us, sequence)`);
    this.addSql(`
      alter table messages
        alter column deadline_us set default '0',
        alter column left_out_bytes set default '-1'`);
  }
}
