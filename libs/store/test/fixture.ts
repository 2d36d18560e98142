/** A small entity with its migration, for the tests of this package. */
import { defineEntity, Migration, p } from '../src/index.ts';

export const Thing = defineEntity({
  name: 'Thing',
  tableName: 'things',
  properties: {
    id: p.string().columnType('text').primary(),
    count: p.bigint('number').defaultRaw('0'),
  },
});

class CreateThings extends Migration {
  override up(): void {
    this.addSql('create table things (id text not null primary key, count bigint not null default 0)');
  }
}

export const thingMigrations = [{ name: '001-things', class: CreateThings }];
