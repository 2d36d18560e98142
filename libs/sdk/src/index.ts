/** What an agent's author imports. */

export { type Receipt, Stage } from '@fleetwire/gen/message';
export { FleetwireError } from '@fleetwire/kernel';
export type {
  Agent,
  AskOptions,
  MessagesOptions,
  OutgoingMessage,
  SendOptions,
  SendResult,
} from './agent.ts';
export { type ConnectOptions, connect } from './connect.ts';
export type { KnownAgent } from './known-agents.ts';
export { SDK_LIMITS } from './limits.ts';
export type { Message } from './message.ts';
export type { PriorityName } from './priority.ts';
export type { Profile } from './profile.ts';
export type { QueueOptions } from './queue.ts';
export { type Answerable, typedMessage } from './typed-messages.ts';
