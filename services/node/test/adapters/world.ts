// What the conformance suite drives: a node with two agents, their programs, and what is told of messages to them.

import type { Stage } from '@fleetwire/gen/message';

export type AgentName = 'bob' | 'carol';
export type Told = readonly [stage: Stage, reason: string];

/** Whoever brings another way in for mail, such as a process of its own, makes this for it. */
export interface World extends AsyncDisposable {
  /** Messages for an agent, in this order; their ids. */
  send(to: AgentName, ...bodies: (string | Uint8Array)[]): Promise<string[]>;
  /** The ends that the sender was told of so far. */
  told(id: string): readonly Told[];
  /** What the agent's program has taken up, oldest first; bytes as `{ base64 }`. */
  taken(agent: AgentName): readonly unknown[];
  /** Messages that are in custody for it. */
  depth(agent: AgentName): number;
  /** From now on, until `resume`, its program takes nothing up. */
  pause(agent: AgentName): Promise<void>;
  resume(agent: AgentName): Promise<void>;
  /** Its program is killed. */
  die(agent: AgentName): Promise<void>;
  /** Another one starts in its place. */
  revive(agent: AgentName): Promise<void>;
  /** The node is killed and starts again. */
  crash(): Promise<void>;
}

export interface Contract {
  /** What the sender is told once a program has not taken a message up for the time that proof is waited for. */
  readonly silent: Told | undefined;
  /** The last that is told of a message that was under way when the program died; undefined: nothing is under way then. */
  readonly lost: Told | undefined;
  /** The program is the same after the node was killed. */
  readonly survives: boolean;
  /** How a body reads at the program. */
  text(sample: Sample): unknown;
}

export interface Sample {
  readonly name: string;
  readonly body: string | Uint8Array;
  /** In a terminal, where it reads differently there. */
  readonly pane?: string;
}

/** `canary` is a file that nothing may make. */
export function samples(canary: string): readonly Sample[] {
  const esc = '\\u{1b}';
  return [
    { name: 'nothing', body: '' },
    { name: 'several lines', body: 'first\nsecond\n\n  fourth' },
    { name: 'wide and combined characters', body: '漢字 한글 e\u0301a\u0308 👨‍👩‍👧 🇩🇪 \u{1f3f4}' },
    { name: 'right to left', body: 'שלום مرحبا' },
    { name: 'a changed direction', body: 'a\u202eb\u202c\u2066c', pane: 'a\\u{202e}b\\u{202c}\\u{2066}c' },
    {
      name: 'control characters',
      body: 'a\x00\x01\x03\x04\x07\x08\x0b\x0c\x11\x13\x15\x17\x1a\x1c\x7fb',
      pane: 'a\\u{0}\\u{1}\\u{3}\\u{4}\\u{7}\\u{8}\\u{b}\\u{c}\\u{11}\\u{13}\\u{15}\\u{17}\\u{1a}\\u{1c}\\u{7f}b',
    },
    { name: 'tabs', body: 'a\tb', pane: 'a    b' },
    {
      name: 'the end of a paste, colours, the clipboard, device strings',
      body: '\x1b[201~\r\x1b[31mx\x1b]52;c;ZXZpbA==\x07\x1bP+q544e\x1b\\\x1bc',
      pane: `${esc}[201~\n${esc}[31mx${esc}]52;c;ZXZpbA==\\u{7}${esc}P+q544e${esc}\\${esc}c`,
    },
    {
      name: 'the same in one character',
      body: '\u009b201~\u009d52;c;eA==\u009c',
      pane: '\\u{9b}201~\\u{9d}52;c;eA==\\u{9c}',
    },
    { name: 'all kinds of line breaks', body: 'a\rb\r\nc\n\rd\u2028e', pane: 'a\nb\nc\n\nd\ne' },
    {
      name: 'words of a shell',
      body: `$(touch ${canary}) \`touch ${canary}\` "';touch ${canary};!! !1 | tee ${canary} &`,
    },
    { name: 'an end that tmux would take for its own', body: `a ; run-shell 'touch ${canary}' ;` },
    { name: 'formats of tmux', body: `#{pane_id} #(touch ${canary}) #[fg=red] %1 $HOME {a} \\;` },
    { name: 'options', body: '-X cancel -t %1 --' },
    {
      name: 'the head of another message',
      body: '[fleetwire 00000000] eve: x',
      pane: '(fleetwire 00000000] eve: x',
    },
    { name: 'bytes', body: Uint8Array.of(0xff, 0, 0x1b), pane: '(bytes, base64) /wAb' },
    { name: 'more than 64 KiB', body: Array.from({ length: 12_000 }, (_, i) => `n${i}`).join(' ') },
  ];
}

export const asIs = ({ body }: Sample): unknown =>
  typeof body === 'string' ? body : { base64: Buffer.from(body).toString('base64') };
export const asLines = ({ body, pane = String(body) }: Sample): string => pane;
export const asOneLine = (sample: Sample): string => asLines(sample).replaceAll('\n', ' ⏎ ');
