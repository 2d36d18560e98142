/** Two nodes with an agent each on this fabric, a question and its answer, their receipts, and the trace of the question. */

import { fileURLToPath } from 'node:url';
import type { Message } from '@fleetwire/gen/delivery';
import { Stage } from '@fleetwire/gen/message';
import { FleetwireError, newMessageId, pause, printable } from '@fleetwire/kernel';
import { newTraceparent } from '@fleetwire/telemetry';
import type { CommandContext } from '../command-context.ts';
import { ensureNodeProcess } from '../fabric/node-process.ts';
import type { Hub } from '../hub.ts';
import type { NodeClient } from '../local-nodes.ts';
import { stageName, traceDocument } from '../trace-document.ts';
import { waterfall } from '../waterfall.ts';

export const DEMO_PAIRS = [
  { node: 'laptop', agent: 'alice' },
  { node: 'desktop', agent: 'bob' },
] as const;

const AGENT_PROGRAM = fileURLToPath(new URL('./agent.ts', import.meta.url));
const QUESTION = 'ask: which machine are you on?';
const WAIT_MS = 30_000;
const POLL_MS = 100;

const NEXT_STEPS = [
  'now try:',
  '  npx fleetwire who',
  '  npx fleetwire send bob "ask: how are you?" --wait 10',
  '  npx fleetwire inbox --wait 5',
  '  npx fleetwire trace ID          (an id from above, whole)',
  '  npx fleetwire status',
];

/** Starts what is not there yet; a second run on the same fabric talks again. Throws DEMO_FAILED when no answer comes. */
export async function runDemo(context: CommandContext, hints: boolean): Promise<void> {
  const { output } = context;
  const clients: NodeClient[] = [];
  for (const { node, agent } of DEMO_PAIRS) {
    await ensureNodeProcess(context, node);
    const client = await context.node(node);
    await ensureAgent(client, agent);
    clients.push(client);
    output.progress(`${agent} runs on ${node}`);
  }
  const [alice] = DEMO_PAIRS;
  const sent = await clients[0]!.send({
    from: alice.agent,
    message: {
      id: newMessageId(),
      to: DEMO_PAIRS[1].agent,
      body: Buffer.from(QUESTION),
      traceparent: newTraceparent(),
    },
  });
  output.progress(`${alice.agent} asks ${DEMO_PAIRS[1].agent}: ${QUESTION}`);
  const hub = await context.hub();
  const messages = await conversation(hub, sent.correlationId);
  const traces = await Promise.all(messages.map((m) => hub.delivery.traceMessage({ id: m.id })));
  const document = {
    messages: messages.map(messageDocument),
    traces: traces.map(traceDocument),
  };
  output.result(document, () => [
    ...messages.flatMap(messageLines),
    '',
    ...traces.flatMap((trace) => [...waterfall(trace), '']),
    ...(hints ? NEXT_STEPS : []),
  ]);
}

async function ensureAgent(client: NodeClient, name: string): Promise<void> {
  const { agents } = await client.listLocalAgents({});
  if (agents.some((a) => a.name === name && a.state === 'running')) return;
  await client.runAgent({
    name,
    adapter: 'tmux',
    command: [process.execPath, AGENT_PROGRAM],
    cwd: process.cwd(),
    env: {},
  });
}

/** The question and its answer, oldest first, once both have ended. */
async function conversation(hub: Hub, correlationId: string): Promise<Message[]> {
  const deadline = performance.now() + WAIT_MS;
  let seen: Message[] = [];
  while (performance.now() < deadline) {
    seen = (await hub.delivery.listMessages({ correlationId, pageSize: 10 })).messages.reverse();
    const ended = seen.filter((m) => m.settlements.some((s) => s.final));
    if (ended.length >= 2) {
      const failed = ended.find((m) => m.settlements.some((s) => s.stage !== Stage.CONFIRMED));
      if (failed === undefined) return ended;
      throw demoFailed(`message ${failed.id} ended as ${settled(failed)}`);
    }
    await pause(POLL_MS);
  }
  const states = seen.map((m) => `${m.fromName} -> ${m.to}: ${settled(m)}`).join('; ');
  throw demoFailed(`no confirmed answer within ${WAIT_MS / 1000} s (${states || 'history shows nothing'})`);
}

const settled = (message: Message): string =>
  message.settlements.map((s) => `${stageName(s.stage)} ${s.reason} ${s.detail}`.trim()).join(', ') ||
  'accepted';

const demoFailed = (why: string) =>
  new FleetwireError('deadline_exceeded', 'DEMO_FAILED', why, {
    help: 'The logs are in the state folder and in the folders of the nodes; see also: fleetwire doctor',
  });

function messageDocument(message: Message): object {
  return {
    id: message.id,
    from: message.fromName,
    to: message.to,
    body: new TextDecoder().decode(message.body),
    receipts: message.settlements.map((s) => ({
      recipient_name: s.recipientName,
      stage: stageName(s.stage),
      detail: s.detail,
    })),
  };
}

function messageLines(message: Message): string[] {
  return [
    `${message.fromName} -> ${message.to}: ${printable(new TextDecoder().decode(message.body))}`,
    ...message.settlements.map(
      (s) => `  ${stageName(s.stage)} by ${s.recipientName || s.recipient}: ${printable(s.detail)}`,
    ),
  ];
}
