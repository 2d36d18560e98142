/** The demo's agent: a small program for a terminal that takes messages up from its input line and answers questions. */

import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { printable } from '@fleetwire/kernel';
import { type Agent, connect, FleetwireError, typedMessage } from '@fleetwire/sdk';
import { answerTo, asksSomething, PartCollector, readDemoLine } from './demo-line.ts';

export interface DemoAgentOptions {
  readonly input: NodeJS.ReadableStream;
  readonly write: (text: string) => void;
  readonly name: string;
  /** Sends as this agent; `marker` is that of the message which is answered. */
  readonly send: (to: string, text: string, marker?: string) => Promise<{ id: string }>;
}

/** Runs until the end of input or `/quit`. Lines are dealt with one after the other. */
export async function runDemoAgent(o: DemoAgentOptions): Promise<void> {
  const agent = new DemoAgent(o);
  o.write(`This is ${o.name}, an agent of the Fleetwire demo. Write "@bob hello" to send, /quit to end.\n`);
  o.write(agent.prompt);
  // Not a terminal for readline: the terminal itself edits the line and hands it over whole.
  for await (const line of createInterface({ input: o.input, terminal: false })) {
    if (!(await agent.take(line))) break;
    o.write(agent.prompt);
  }
}

class DemoAgent {
  readonly #o: DemoAgentOptions;
  readonly #parts = new PartCollector();
  #taken = 0;

  constructor(o: DemoAgentOptions) {
    this.#o = o;
  }

  get prompt(): string {
    return `${this.#o.name}> `;
  }

  /** False at the end. */
  async take(text: string): Promise<boolean> {
    const line = readDemoLine(text);
    switch (line.kind) {
      case 'message':
        await this.#message(line.marker, line.from, line.text);
        return true;
      case 'part': {
        const whole = this.#parts.add(line);
        if (whole !== undefined) await this.#message(line.marker, line.from, whole);
        return true;
      }
      case 'send':
        await this.#send(line.to, line.text);
        return true;
      case 'other':
        this.#o.write('I take up messages and send what starts with "@name"; nothing else.\n');
        return true;
      case 'empty':
        return true;
      case 'quit':
        return false;
    }
  }

  async #message(marker: string, from: string, text: string): Promise<void> {
    this.#taken++;
    this.#o.write(`took up ${marker} from ${from} (${text.length} characters)\n`);
    if (!asksSomething(text)) return;
    await this.#send(from, answerTo(this.#o.name, marker, text, this.#taken), marker);
  }

  async #send(to: string, text: string, marker?: string): Promise<void> {
    try {
      const { id } = await this.#o.send(to, text, marker);
      this.#o.write(`sent ${id} to ${printable(to)}\n`);
    } catch (error) {
      if (!(error instanceof FleetwireError)) throw error;
      this.#o.write(`not sent (${error.reason}): ${error.message}${error.help ? ` ${error.help}` : ''}\n`);
    }
  }
}

/** As the agent that the node started this program for; connects at the first send. */
export async function demoAgentMain(): Promise<void> {
  let agent: Agent | undefined;
  const nameAtHand = process.argv[2] ?? 'demo';
  const attached = async () => {
    agent ??= await connect({ connectMs: 5000 });
    return agent;
  };
  const first = await attached().catch(() => undefined);
  await runDemoAgent({
    input: process.stdin,
    write: (text) => process.stdout.write(text),
    name: first?.name ?? nameAtHand,
    async send(to, text, marker) {
      const question = marker === undefined ? undefined : typedMessage(marker);
      const own = await attached();
      return question === undefined ? own.send(to, text) : own.reply(question, text);
    },
  });
  await agent?.close();
  process.stdin.unref();
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  await demoAgentMain();
