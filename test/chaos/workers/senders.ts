/** Process of the sending agents: numbers the messages of each pair, and notes what their nodes accept. */

import { FleetwireError } from '@fleetwire/kernel';
import { type Agent, connect } from '@fleetwire/sdk';
import { randomOf } from '@fleetwire/testkit';
import { LineFile } from './line-file.ts';
import type { FromWorker, ToWorker, WorkerTask } from './messages.ts';

const TICK_MS = 10;
const TELL_MS = 100;
/** About what an agent writes to another. */
const PADDING = '.'.repeat(120);

const tell = (message: FromWorker) => process.send!(message);

class Senders {
  readonly #task: WorkerTask;
  readonly #file: LineFile;
  readonly #agents: { readonly agent: Agent; readonly name: string; readonly to: readonly string[] }[] = [];
  readonly #random;
  readonly #numbers = new Map<string, number>();
  readonly #refused: Record<string, number> = {};
  #upTo = 0;
  #accepted = 0;
  #open = 0;
  #beganMs = 0;

  constructor(task: WorkerTask) {
    this.#task = task;
    this.#file = new LineFile(task.file);
    this.#random = randomOf(task.seed);
  }

  async connect(): Promise<void> {
    for (const { name, node, to } of this.#task.plan.senders) {
      const agent = await connect({ ...this.#task.doors[node]!, name, connectMs: 60_000 });
      this.#agents.push({ agent, name, to });
    }
    setInterval(() => tell({ kind: 'count', count: this.#accepted, refused: this.#refused }), TELL_MS);
    setInterval(() => this.#send(), TICK_MS);
  }

  allow(count: number): void {
    if (this.#beganMs === 0) this.#beganMs = performance.now();
    this.#upTo = count;
  }

  async finish(): Promise<void> {
    await Promise.allSettled(this.#agents.map(({ agent }) => agent.close()));
    this.#file.close();
  }

  #send(): void {
    const { rate } = this.#task;
    const due = Math.min(this.#upTo, ((performance.now() - this.#beganMs) * rate) / 1000);
    while (this.#accepted + this.#open < due) this.#sendOne();
  }

  #sendOne(): void {
    const { agent, name, to } = this.#agents[this.#random(this.#agents.length)]!;
    const recipient = to[this.#random(to.length)]!;
    const pair = `${name} ${recipient}`;
    const number = this.#numbers.get(pair) ?? 0;
    this.#numbers.set(pair, number + 1);
    this.#open++;
    agent.send(recipient, `${number} ${PADDING}`).then(
      ({ id }) => {
        this.#open--;
        this.#accepted++;
        this.#file.add(`${pair} ${number} ${id}`);
      },
      (error: unknown) => {
        this.#open--;
        const reason = error instanceof FleetwireError ? error.reason : String(error);
        this.#refused[reason] = (this.#refused[reason] ?? 0) + 1;
      },
    );
  }
}

let senders: Senders | undefined;

async function serve(message: ToWorker): Promise<void> {
  if (message.kind === 'task') {
    senders = new Senders(message.task);
    await senders.connect();
    tell({ kind: 'ready' });
  } else if (message.kind === 'upTo') senders!.allow(message.count);
  else {
    await senders?.finish();
    process.disconnect();
    process.exit(0);
  }
}

// What it throws ends the process.
process.on('message', (message: ToWorker) => void serve(message));
process.on('disconnect', () => process.exit(1));
