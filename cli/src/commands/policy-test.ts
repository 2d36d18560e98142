/** policy test: what would be decided, and why, before anything is rolled out. */

import { ERROR_TABLE } from '@fleetwire/contract';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { oneOf, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { userId } from '../lookup.ts';
import { visible } from '../output.ts';
import { readPolicyFile } from '../policy-document.ts';

const ACTIONS = ['spawn', 'message', 'tool', 'release'];
const DENIED = ERROR_TABLE.permission_denied.exit;

export function addPolicyTestCommand(policy: Command, action: Action): void {
  policy
    .command('test')
    .description(`explain a decision; exit code 0 when it is allowed, ${DENIED} when it is denied`)
    .argument('<action>', ACTIONS.join(', '), oneOf('action', ACTIONS))
    .argument('<actor>', 'name of the agent that would act')
    .argument('<target>', 'name of the agent that it would act on, or of the tool')
    .option('--user <member>', 'as if the acting agent belonged to this member')
    .option('--spawned <n>', 'agents that it has spawned already', wholeNumber('--spawned', 0, 1_000_000), 0)
    .option('--candidate <file>', 'with this policy besides, or in the place of the one with its id')
    .action(action(test));
}

interface TestOptions {
  readonly user?: string;
  readonly spawned: number;
  readonly candidate?: string;
}

async function test(
  context: CommandContext,
  options: TestOptions,
  asked: string,
  actor: string,
  target: string,
): Promise<void> {
  const candidate = options.candidate === undefined ? undefined : await readPolicyFile(options.candidate);
  const { door } = await context.orgDoor();
  const user = await userId(door, options.user);
  const { spawned } = options;
  const answer = await door.testPolicy({ action: asked, actor, target, user, spawned, candidate });
  const { allowed, reason, source, explanation, rateLimitPerMinute: rate } = answer;
  const decided = answer.matchedPolicyName || answer.matchedPolicy;
  const document = {
    allowed,
    reason,
    source,
    matched_policy: answer.matchedPolicy || null,
    matched_policy_name: answer.matchedPolicyName || null,
    matched_rule: decided === '' ? null : answer.matchedRule,
    explanation,
    rate_limit_per_minute: rate || null,
  };
  context.output.result(document, () => [
    `${allowed ? 'ALLOWED' : 'DENIED'}  ${reason}`,
    `  source       ${source}`,
    ...(decided === '' ? [] : [`  policy       ${visible(decided)}, rule ${answer.matchedRule + 1}`]),
    `  explanation  ${visible(explanation)}`,
    ...(rate === 0 ? [] : [`  rate         at most ${rate} messages a minute`]),
  ]);
  if (!allowed) process.exitCode = DENIED;
}
