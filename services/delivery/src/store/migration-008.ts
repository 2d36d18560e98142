/** Migration 010: receipts in doubt by who published them, so that each has a share, and of which stream a sequence is. */

import { Migration } from '@fleetwire/store';

export class DoubtShares extends Migration {
  override up(): void {
    this.addSql(`alter table doubts add column ingress_made text not null default ''`);
    this.addSql(`drop index doubts_due`);
    this.addSql(`create index doubts_by_publisher on doubts (org, publisher, look_at)`);
  }
}
