/** plan show | list | set | limits | usage: what an org may have, and what it uses. */

import type { Limits } from '@fleetwire/gen/access';
import { FleetwireError } from '@fleetwire/kernel';
import type { Command } from 'commander';
import type { Action } from '../action.ts';
import { numberOrNone, wholeNumber } from '../arguments.ts';
import type { CommandContext } from '../command-context.ts';
import { allAgents, allNodes } from '../fleet.ts';
import { limitsDocument, NO_LIMITS, orgDocument, planDocument, usageDocument } from '../org-documents.ts';
import { table } from '../output.ts';
import { nothingToChange, ORG_OPTION } from './org.ts';

const LIMIT_MAX = 1_000_000_000;
const LIMITS = ['workspaces', 'agents', 'nodes', 'members'] as const;

export function addPlanCommands(program: Command, action: Action): void {
  const plan = program.command('plan').description('plans, limits and usage');
  plan
    .command('show')
    .description('the plan of the org, its limits, and how much of them is used')
    .option(...ORG_OPTION)
    .action(action(show));
  plan.command('list').description('the plans there are').action(action(list));
  plan
    .command('set')
    .description('change to another plan')
    .argument('<plan>', 'free, pro, team or enterprise')
    .option(...ORG_OPTION)
    .action(action(set));
  const limits = plan
    .command('limits')
    .description("as the fabric's operator: limits of an org instead of its plan's")
    .requiredOption('--org <slug>', 'of this org, by its slug or id')
    .option('--reset', 'those of the plan again');
  for (const name of LIMITS)
    limits.option(`--${name} <n>`, 'a number, or none for no limit', numberOrNone(`--${name}`, LIMIT_MAX));
  limits.action(action(setLimits));
  plan
    .command('usage')
    .description('messages, bytes, agents and nodes by day')
    .option('--days <n>', 'so many', wholeNumber('--days', 1, 366), 30)
    .option(...ORG_OPTION)
    .action(action(usage));
}

/** `5`, `none`. */
const limitText = (value: number) => (value < 0 ? 'none' : String(value));
const limitTexts = (limits: Limits) => LIMITS.map((name) => `${name} ${limitText(limits[name])}`);

async function show(context: CommandContext, options: { org?: string }): Promise<void> {
  const { door, org } = await context.orgDoor(options.org);
  const { plan, limits = NO_LIMITS, ...rest } = await door.getPlan({ org });
  const { members, workspaces, openInvites, seats, billingStatus } = rest;
  // The registry, which counts these, answers nobody but the org itself.
  const hub = options.org === undefined ? await context.hub() : undefined;
  const nodes = hub === undefined ? null : (await allNodes(hub)).length;
  const agents = hub === undefined ? null : (await allAgents(hub)).length;
  const document = {
    plan: planDocument(plan!),
    limits: limitsDocument(limits),
    used: { members, workspaces, nodes, agents, open_invites: openInvites },
    seats,
    billing_status: billingStatus,
  };
  const row = (name: (typeof LIMITS)[number], count: string | number | null) => [
    name,
    String(count ?? '?'),
    limitText(limits[name]),
  ];
  context.output.result(document, () => [
    `${plan!.name}: ${priceText(plan!.priceCents, plan!.name)}; ${seats} seats, billing ${billingStatus}`,
    ...table(
      ['', 'USED', 'LIMIT'],
      [
        row('members', openInvites === 0 ? members : `${members} and ${openInvites} invited`),
        row('workspaces', workspaces),
        row('nodes', nodes),
        row('agents', agents),
      ],
    ),
  ]);
}

function priceText(cents: number, plan: string): string {
  if (cents === 0) return plan === 'enterprise' ? 'as agreed' : 'free of charge';
  return `$${(cents / 100).toFixed(2)} a user and month`;
}

async function list(context: CommandContext): Promise<void> {
  const { plans } = await (await context.hub()).orgOpen.listPlans({});
  context.output.result({ plans: plans.map(planDocument) }, () =>
    table(
      ['PLAN', 'PRICE', 'SEATS AT LEAST', 'WORKSPACES', 'AGENTS', 'NODES', 'MEMBERS', 'SUPPORT'],
      plans.map((p) => {
        const { workspaces, agents, nodes, members } = p.limits ?? NO_LIMITS;
        const perMember = p.agentsPerMember === 0 ? limitText(agents) : `${p.agentsPerMember} a member`;
        return [
          p.name,
          priceText(p.priceCents, p.name),
          String(p.seatsMin),
          limitText(workspaces),
          perMember,
          limitText(nodes),
          limitText(members),
          p.support,
        ];
      }),
    ),
  );
}

async function set(context: CommandContext, options: { org?: string }, plan: string): Promise<void> {
  const { door, org } = await context.orgDoor(options.org);
  const changed = (await door.changePlan({ org, plan })).org!;
  context.output.result(
    { org: orgDocument(changed) },
    () => `${changed.slug} has the plan ${changed.plan} now`,
  );
}

type LimitOptions = Partial<Record<(typeof LIMITS)[number], number>> & {
  readonly org: string;
  readonly reset?: boolean;
};

async function setLimits(context: CommandContext, options: LimitOptions): Promise<void> {
  const given = LIMITS.filter((name) => options[name] !== undefined);
  if (given.length === 0 && options.reset !== true)
    throw nothingToChange(`${LIMITS.map((name) => `--${name}`).join(', ')}, --reset`);
  if (given.length > 0 && options.reset === true)
    throw new FleetwireError('invalid_argument', 'INVALID_USAGE', '--reset goes with no limits', {
      help: 'Leave it out: limits that are not named stay as they are.',
    });
  const { org } = options;
  const door = await context.operator();
  const limits = options.reset === true ? undefined : await changed();
  const answer = (await door.setLimits({ org, limits })).limits!;
  context.output.result(
    { org, limits: limitsDocument(answer) },
    () => `limits: ${limitTexts(answer).join(', ')}`,
  );

  /** What is not named stays as it is in force. */
  async function changed(): Promise<Limits> {
    const { limits: before = NO_LIMITS } = await door.getPlan({ org });
    return { ...before, ...Object.fromEntries(given.map((name) => [name, options[name]!])) };
  }
}

async function usage(context: CommandContext, options: { days: number; org?: string }): Promise<void> {
  const { door, org } = await context.orgDoor(options.org);
  const { days } = await door.getUsage({ org, days: options.days });
  context.output.result({ days: days.map(usageDocument) }, () =>
    days.length === 0
      ? 'nothing was used yet; days appear within a few minutes'
      : table(
          ['DAY', 'MESSAGES', 'BYTES', 'AGENTS', 'NODES'],
          days.map((d) => [d.day, d.messages, d.bytes, d.agents, d.nodes].map(String)),
        ),
  );
}
