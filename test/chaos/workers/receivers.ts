/** Process of the receiving agents: notes each message as its agent takes it, in that order. */

import { type Agent, connect } from '@fleetwire/sdk';
import { LineFile } from './line-file.ts';
import type { FromWorker, ToWorker, WorkerTask } from './messages.ts';

const TELL_MS = 100;

const tell = (message: FromWorker) => process.send!(message);

class Receivers {
  readonly #task: WorkerTask;
  readonly #file: LineFile;
  readonly #agents: Agent[] = [];
  readonly #reading: Promise<void>[] = [];
  #received = 0;

  constructor(task: WorkerTask) {
    this.#task = task;
    this.#file = new LineFile(task.file);
  }

  async connect(): Promise<void> {
    for (const { name, node } of this.#task.plan.recipients) {
      const agent = await connect({ ...this.#task.doors[node]!, name, connectMs: 60_000 });
      this.#agents.push(agent);
      this.#reading.push(this.#read(agent));
    }
    setInterval(() => tell({ kind: 'count', count: this.#received, refused: {} }), TELL_MS);
  }

  async finish(): Promise<void> {
    await Promise.allSettled(this.#agents.map((agent) => agent.close()));
    await Promise.allSettled(this.#reading);
    this.#file.close();
  }

  async #read(agent: Agent): Promise<void> {
    for await (const message of agent.messages()) {
      this.#received++;
      this.#file.add(`${message.from} ${agent.name} ${Number.parseInt(message.text, 10)}`);
    }
  }
}

let receivers: Receivers | undefined;

async function serve(message: ToWorker): Promise<void> {
  if (message.kind === 'task') {
    receivers = new Receivers(message.task);
    await receivers.connect();
    tell({ kind: 'ready' });
  } else if (message.kind === 'finish') {
    await receivers?.finish();
    process.disconnect();
    process.exit(0);
  }
}

// What it throws ends the process.
process.on('message', (message: ToWorker) => void serve(message));
process.on('disconnect', () => process.exit(1));
