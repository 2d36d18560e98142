/** Asks the kernel about a pane's terminal: how many bytes its program has not read yet, and who edits its lines. */

import { execFile } from 'node:child_process';

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

const TIMEOUT_MS = 2000;

// Node has no ioctl, and perl is part of Debian and of macOS. O_NOCTTY: the terminal must not become ours;
// O_NONBLOCK: opening must not wait. Reading attributes and the count of bytes takes nothing from the program.
const SCRIPT = `use Fcntl; use POSIX ();
sysopen(my $f, $ARGV[0], O_RDONLY|O_NOCTTY|O_NONBLOCK) or die "open: $!";
my $n = pack("i", 0); ioctl($f, hex($ARGV[1]), $n) or die "ioctl: $!";
my $t = POSIX::Termios->new; $t->getattr(fileno($f)) or die "getattr: $!";
my $l = $t->getlflag;
print join(" ", unpack("i", $n), $l & POSIX::ICANON ? 1 : 0, $l & POSIX::ECHO ? 1 : 0);`;

/** FIONREAD: a number of its own on Linux (most architectures), the BSD encoding elsewhere. */
const FIONREAD = process.platform === 'linux' && !/^(ppc|mips)/.test(process.arch) ? '541B' : '4004667F';

/** Undefined when it cannot be told: no perl, or the terminal is gone. */
export function readTty(
  tty: string,
  env: Readonly<Record<string, string>>,
  perl = 'perl',
): Promise<TtyState | undefined> {
  return new Promise((resolve) => {
    execFile(
      perl,
      ['-e', SCRIPT, tty, FIONREAD],
      { env, timeout: TIMEOUT_MS, encoding: 'utf8' },
      (error, out) => {
        const match = error ? null : /^(\d+) ([01]) ([01])$/.exec(out.trim());
        if (match === null) return resolve(undefined);
        const canonical = match[2] === '1';
        resolve({ unread: Number(match[1]), canonical, kernelEchoes: canonical || match[3] === '1' });
      },
    );
  });
}
