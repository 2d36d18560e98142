/** route explain: where a message would go, and why, by the decision that routes it; nothing is sent. */

import { kindOfReason } from '@fleetwire/contract';
import type { ExplainResponse } from '@fleetwire/gen/router';
import { checkName, FleetwireError, parseAddress } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import type { CommandContext } from '../command-context.ts';
import { FailedResult, table, visible } from '../output.ts';

export function addRouteCommands(program: Command, action: Action): void {
  program
    .command('route')
    .description('where messages go')
    .command('explain')
    .description('show where a message would go, and why; nothing is sent')
    .argument('<to>', 'an address, as for send')
    .option('--from <agent>', 'as if this agent sent it')
    .action(action(explain));
}

async function explain(context: CommandContext, options: { from?: string }, to: string): Promise<void> {
  parseAddress(to);
  if (options.from !== undefined) checkName(options.from, 'agent');
  const { router } = await context.hub();
  const answer = await router.explain({ to, from: options.from ?? '' });
  const document = explainDocument(to, answer);
  const lines = explainLines(to, answer);
  if (!answer.routable) throw new FailedResult(refusalOf(answer), document, lines);
  context.output.result(document, () => lines);
}

function refusalOf({ reason, detail, suggestions }: ExplainResponse): FleetwireError {
  const help = suggestions.length === 0 ? undefined : `Did you mean ${suggestions.map(visible).join(', ')}?`;
  const text = visible(detail) || reason;
  return new FleetwireError(kindOfReason(reason), reason, text, help === undefined ? {} : { help });
}

function explainDocument(to: string, answer: ExplainResponse): object {
  const { routable, reason, detail, recipients, policy, suggestions } = answer;
  const agent =
    answer.agent === ''
      ? null
      : {
          id: answer.agent,
          name: answer.name,
          node: answer.node,
          node_name: answer.nodeName,
          node_status: answer.nodeStatus || null,
          epoch: answer.epoch,
        };
  return {
    to,
    routable,
    reason: reason || null,
    detail,
    recipients,
    agent,
    subject: answer.subject || null,
    nodes: answer.nodes.map(({ node, nodeName, nodeStatus, subject, recipients: count }) => ({
      node,
      node_name: nodeName,
      node_status: nodeStatus || null,
      subject,
      recipients: count,
    })),
    policy: policy || null,
    suggestions,
  };
}

function explainLines(to: string, answer: ExplainResponse): string[] {
  const { routable, reason, detail, name, nodeName, nodeStatus, policy } = answer;
  const lines = [
    `${visible(to)}: ${routable ? 'ROUTABLE' : `NOT ROUTABLE  ${reason}`}`,
    `  why     ${visible(detail)}`,
  ];
  if (name !== '') lines.push(`  agent   ${visible(name)} on ${visible(nodeName)}${aside(nodeStatus)}`);
  if (answer.subject !== '') lines.push(`  inbox   ${answer.subject}`);
  if (policy !== '') lines.push(`  policy  ${visible(policy)}`);
  if (answer.nodes.length > 0) {
    const rows = answer.nodes.map((node) => [
      visible(node.nodeName),
      node.nodeStatus || '?',
      String(node.recipients),
      node.subject,
    ]);
    lines.push(...table(['NODE', 'STATUS', 'RECIPIENTS', 'INBOX'], rows).map((line) => `  ${line}`));
  }
  return lines;
}

const aside = (text: string): string => (text === '' ? '' : `, ${text}`);
