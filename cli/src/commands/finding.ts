/** What doctor finds: one line for each thing looked at. */

export interface Finding {
  readonly check: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  /** What to do; empty when all is well. */
  readonly help: string;
}

export const ok = (check: string, detail: string): Finding => ({ check, state: 'ok', detail, help: '' });

export const warn = (check: string, detail: string, help: string): Finding => ({
  check,
  state: 'warn',
  detail,
  help,
});

export const fail = (check: string, detail: string, help: string): Finding => ({
  check,
  state: 'fail',
  detail,
  help,
});
