// Goal: log lines are JSON, carry the trace, and never a secret.
// Method: log into memory and read the lines back.

import { strict as assert } from 'node:assert';
import { FleetwireError } from '@fleetwire/kernel';
import { createLog, newTraceparent, redacted, runWithTrace, traceIdOf } from '@fleetwire/telemetry';
import fc from 'fast-check';
import { describe, it } from 'mocha';

function memoryLog() {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  const log = createLog({ service: 'org', instance: 'org-1', version: '1', level: 'info', stream });
  return { log, lines, last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown> };
}

describe('log', () => {
  it('writes one JSON object a line, with who and when', () => {
    const { log, last } = memoryLog();
    log.info({ count: 3 }, 'hello');
    const line = last();
    assert.equal(line['service'], 'org');
    assert.equal(line['instance'], 'org-1');
    assert.equal(line['level'], 'info');
    assert.equal(line['message'], 'hello');
    assert.equal(line['count'], 3);
    assert.ok(Number.isFinite(Date.parse(String(line['time']))));
    assert.equal('trace_id' in line, false);
  });

  it('carries the trace id within a trace, child loggers too', () => {
    const { log, last } = memoryLog();
    const traceparent = newTraceparent();
    runWithTrace(traceparent, () => log.child({ part: 'x' }).info('hello'));
    assert.equal(last()['trace_id'], traceIdOf(traceparent));
  });

  it('shows the reason and the causes of an error', () => {
    const { log, last } = memoryLog();
    const cause = new Error('socket closed');
    log.error({ err: new FleetwireError('unavailable', 'DATABASE_AWAY', 'no answer', { cause }) }, 'failed');
    const err = last()['err'] as Record<string, unknown>;
    assert.equal(err['reason'], 'DATABASE_AWAY');
    assert.match(String(err['cause']), /socket closed/);
  });

  it('redacts secret fields', () => {
    const { log, lines } = memoryLog();
    log.info(
      { token: 'aaa1', api_key: 'aaa2', nested: { jwt: 'aaa3', seed: 'aaa4', authorization: 'aaa5' } },
      'x',
    );
    assert.ok(!lines.join('').includes('aaa'));
  });

  it('redacts what looks like a secret, wherever it stands', () => {
    const { log, lines } = memoryLog();
    const seed = `SU${'A'.repeat(56)}`;
    log.info(
      `key fwk_abcdefgh12345678 at postgres://me:hunter22@db:5432/x with Bearer abc.def-123456 and ${seed}`,
    );
    const text = lines.join('');
    for (const secret of ['abcdefgh1234', 'hunter22', 'abc.def-123456', seed])
      assert.ok(!text.includes(secret), secret);
    assert.ok(text.includes('@db:5432/x'));
  });

  it('leaves other text alone, and stays JSON', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { log, last } = memoryLog();
        log.info({ text: `${text} fwk_abcdefgh1234` }, 'x');
        assert.ok(!String(last()['text']).includes('abcdefgh1234'));
      }),
    );
    for (const plain of ['nats://127.0.0.1:4222', 'http://a/b?c=d@e', 'a_k3v9q0m2x8r4t6wz', 'Bearer of news'])
      assert.equal(redacted(plain), plain);
  });
});
