/** How tests open the tables of org, past the service: all but the url. Who has much to do takes a larger pool. */

import { entities } from '../src/store/entities.ts';
import { migrations } from '../src/store/migrations.ts';

export const OWN_SCHEMA = { schema: 'org', entities, migrations, poolMax: 2, applicationName: 'test' };
