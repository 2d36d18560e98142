/** Asks the kernel about a pane's terminal: how many bytes its program has not read yet, and who edits its lines. */

import { type Companion, endCompanion, startCompanion } from './tmux-companion.ts';

export interface TtyState {
  /** Bytes that were typed and that no program has read. In canonical mode: of whole lines. */
  readonly unread: number;
  /** The kernel collects lines, or at least echoes: what shows on the screen proves nothing about the program. */
  readonly kernelEchoes: boolean;
  /** The kernel hands over whole lines, of a limited length. */
  readonly canonical: boolean;
}

/** The terminal's longest line, in bytes, with room for the line break: longer ones are cut off by the kernel. */
export const CANONICAL_LINE_BYTES = process.platform === 'linux' ? 4000 : 1000;

const LIMITS = {
  answerMs: 2000,
  /** Nobody asks for that long: the helper ends. */
  idleMs: 3000,
  /** Questions that wait for their answer. */
  questions: 16,
} as const;

// Node has no ioctl, and perl is part of Debian and of macOS. O_NOCTTY: the terminal must not become ours;
// O_NONBLOCK: opening must not wait. Reading attributes and the count of bytes takes nothing from the program.
const SCRIPT = `use Fcntl; use POSIX (); $| = 1;
while (my $tty = <STDIN>) {
  chomp $tty;
  print eval {
    sysopen(my $f, $tty, O_RDONLY|O_NOCTTY|O_NONBLOCK) or die;
    my $n = pack("i", 0); ioctl($f, hex($ARGV[0]), $n) or die;
    my $t = POSIX::Termios->new; $t->getattr(fileno($f)) or die;
    my $l = $t->getlflag;
    join(" ", unpack("i", $n), $l & POSIX::ICANON ? 1 : 0, $l & POSIX::ECHO ? 1 : 0);
  } // "gone", "\\n";
}`;

/** FIONREAD: a number of its own on Linux (most architectures), the BSD encoding elsewhere. */
const FIONREAD = process.platform === 'linux' && !/^(ppc|mips)/.test(process.arch) ? '541B' : '4004667F';

type Answer = (line: string) => void;

/** One helper process for as long as there are questions. */
export class TtyReader {
  #helper: Companion | undefined;
  #answers: Answer[] = [];
  #rest = '';
  #idle: NodeJS.Timeout | undefined;

  /** Undefined when it cannot be told: no perl, or the terminal is gone. */
  async read(tty: string): Promise<TtyState | undefined> {
    if (this.#answers.length >= LIMITS.questions) return undefined;
    clearTimeout(this.#idle);
    const line = await this.#ask(tty);
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.close(), LIMITS.idleMs).unref();
    const match = /^(\d+) ([01]) ([01])$/.exec(line);
    if (match === null) return undefined;
    const canonical = match[2] === '1';
    return { unread: Number(match[1]), canonical, kernelEchoes: canonical || match[3] === '1' };
  }

  #ask(tty: string): Promise<string> {
    return new Promise((resolve) => {
      const helper = this.#running();
      const timer = setTimeout(() => this.close(), LIMITS.answerMs);
      this.#answers.push((line) => {
        clearTimeout(timer);
        resolve(line);
      });
      helper.stdin.write(`${tty}\n`);
    });
  }

  #running(): Companion {
    if (this.#helper !== undefined) return this.#helper;
    const helper = startCompanion('perl', ['-e', SCRIPT, FIONREAD], () => {
      if (this.#helper === helper) this.close();
    });
    this.#helper = helper;
    helper.stdout.on('data', (chunk: Buffer) => this.#hear(helper, chunk.toString('latin1')));
    return helper;
  }

  #hear(helper: Companion, text: string): void {
    if (this.#helper !== helper) return;
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#answers.shift()?.(line);
  }

  /** Who still waits for an answer gets none; the next question starts anew. */
  close(): void {
    clearTimeout(this.#idle);
    endCompanion(this.#helper);
    this.#helper = undefined;
    this.#rest = '';
    for (const answer of this.#answers.splice(0)) answer('');
  }
}
