/** A plain terminal on which a few lines are drawn over and over in the same place. */

export interface Screen {
  readonly isTerminal: boolean;
  /** Puts the lines where those before them stood, cut to what fits. Writes nothing when they are the same. */
  draw(lines: readonly string[]): void;
  /** Nobody reads any more. */
  isGone(): boolean;
}

export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly destroyed: boolean;
  readonly writable: boolean;
  write(text: string): unknown;
}

const HOME = '\u001b[H';
const CLEAR = '\u001b[2J';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
/** Where a terminal does not say. */
const COLUMNS = 80;
const ROWS = 24;

export function createScreen(out: Terminal): Screen {
  let drawn: string | undefined;
  return {
    isTerminal: out.isTTY === true,
    isGone: () => out.destroyed || !out.writable,
    draw(lines) {
      const text = fitted(lines, out.columns || COLUMNS, out.rows || ROWS)
        .map((line) => `${line}${CLEAR_LINE}\n`)
        .join('');
      if (text === drawn) return;
      out.write(`${drawn === undefined ? CLEAR : ''}${HOME}${text}${CLEAR_BELOW}`);
      drawn = text;
    },
  };
}

export const processScreen = (): Screen => createScreen(process.stdout);

/** The last row stays free for the cursor, so that nothing scrolls. */
function fitted(lines: readonly string[], columns: number, rows: number): string[] {
  const room = Math.max(1, rows - 1);
  const cut = lines.map((line) => line.slice(0, columns - 1));
  if (cut.length <= room) return cut;
  const shown = Math.max(0, room - 1);
  return [...cut.slice(0, shown), `... and ${cut.length - shown} more lines`];
}
