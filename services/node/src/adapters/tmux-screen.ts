/** Reads a captured pane: where a marker stands, and whether that is still the line that is being typed. */

export interface PaneFacts {
  readonly cursorY: number;
  readonly cursorVisible: boolean;
  readonly width: number;
  readonly height: number;
}

export interface Screen extends PaneFacts {
  /** Rows of history and screen, oldest first, without trailing blanks. */
  readonly rows: readonly string[];
  /** For each row the logical line it belongs to: a wrapped line has several rows. */
  readonly lineOfRow: readonly number[];
  readonly lines: readonly string[];
  /** Index into `rows`. */
  readonly cursorRow: number;
}

/** `rows` as captured, `lines` as captured with wrapped rows joined. */
export function buildScreen(facts: PaneFacts, rows: readonly string[], lines: readonly string[]): Screen {
  const lineOfRow: number[] = [];
  let row = 0;
  for (const [index, line] of lines.entries()) {
    let left = squeeze(line).length;
    do {
      if (row >= rows.length) break;
      left -= squeeze(rows[row]!).length;
      lineOfRow[row++] = index;
    } while (left > 0);
  }
  while (row < rows.length) lineOfRow[row++] = lines.length - 1;
  const cursorRow = Math.min(rows.length - 1, rows.length - facts.height + facts.cursorY);
  return { ...facts, rows: rows.map((r) => r.trimEnd()), lineOfRow, lines, cursorRow };
}

const squeeze = (text: string) => text.replace(/\s+/g, '');

/** Where the text stood before Enter was pressed, for programs whose cursor does not show where one types. */
export interface BeforeEnter {
  readonly line: string;
  /** Rows above the last one that is not blank. */
  readonly fromBottom: number;
}

export type Standing =
  | { readonly where: 'absent' }
  | { readonly where: 'input'; readonly line: string }
  | { readonly where: 'beyond'; readonly line: string };

export interface Wanted {
  readonly pattern: RegExp;
  /** The lines of what was typed, to tell them from what the program shows. */
  readonly typed: readonly string[];
  /** The kernel edits the line, so that the input is the cursor's line and nothing else. */
  readonly kernelLine: boolean;
  readonly before: BeforeEnter | undefined;
  /** How often the marker stood there before it was typed: the program had it from elsewhere. */
  readonly shownBefore: number;
}

/**
 * `beyond`: the marker stands at a place that is not the input any more. A program that edits its line itself may leave a
 * copy of it behind when it draws it anew: there, what is still in the input has not been submitted.
 */
export function standing(screen: Screen, wanted: Wanted): Standing {
  let found: Standing = { where: 'absent' };
  for (const { row, line } of placesOf(screen, wanted.pattern).slice(wanted.shownBefore)) {
    const where = isInput(screen, row, wanted) ? 'input' : 'beyond';
    if (where === (wanted.kernelLine ? 'beyond' : 'input')) return { where, line };
    found = { where, line };
  }
  return found;
}

/** Remembers where the marker stands now; undefined while it is not to be seen. */
export function rememberBefore(screen: Screen, pattern: RegExp): BeforeEnter | undefined {
  const row = placesOf(screen, pattern).at(-1)?.row;
  return row === undefined
    ? undefined
    : { line: screen.rows[row]!.trim(), fromBottom: lastRow(screen) - row };
}

/** Where the marker stands, oldest first: the first row of its logical line, and that line. */
export function placesOf(screen: Screen, pattern: RegExp): { row: number; line: string }[] {
  const found: { row: number; line: string }[] = [];
  for (const [index, text] of screen.lines.entries()) {
    const line = pattern.test(text) ? text : acrossBreak(text, screen.lines[index + 1], pattern);
    if (line === undefined) continue;
    const row = screen.lineOfRow.indexOf(index);
    if (row >= 0) found.push({ row, line });
  }
  return found;
}

/** Programs that wrap lines themselves, at spaces or anywhere, may break the marker in a narrow pane. */
function acrossBreak(text: string, next: string | undefined, pattern: RegExp): string | undefined {
  if (next === undefined || !text.includes('[') || pattern.test(next)) return undefined;
  const [above, below] = [text, next].map((line) => line.replace(SIDES, '').trim());
  return [`${above}${below}`, `${above} ${below}`].find((line) => pattern.test(line));
}

function lastRow(screen: Screen): number {
  let last = screen.rows.length - 1;
  while (last > 0 && screen.rows[last] === '') last--;
  return last;
}

function isInput(screen: Screen, row: number, wanted: Wanted): boolean {
  const line = screen.lineOfRow[row];
  if (screen.cursorVisible && line === screen.lineOfRow[screen.cursorRow]) return true;
  if (wanted.kernelLine) return false;
  if (screen.cursorVisible) return row < screen.cursorRow && onlyTyped(screen, row, wanted.typed);
  return inLowestBox(screen, row) || stillAsBefore(screen, row, wanted.before);
}

/** From the marker down to the cursor nothing but typed text and blanks: an input of several lines, not submitted. */
function onlyTyped(screen: Screen, row: number, typed: readonly string[]): boolean {
  const known = typed.map(squeeze);
  const from = screen.lineOfRow[row]! + 1;
  for (let line = from; line <= screen.lineOfRow[screen.cursorRow]!; line++) {
    const shown = squeeze(screen.lines[line]!.replace(SIDES, ''));
    if (shown !== '' && !known.some((text) => text.includes(shown))) return false;
  }
  return true;
}

const SIDES = /^\s*[│┃║▌|]|[│┃║▐|]\s*$/g;
const RULE = /^\s*[╭╰┌└├╔╚─━═]?[─━═▀▄]{8,}/;

/** Interfaces that draw their own cursor type into a box, between the last two horizontal rules. */
function inLowestBox(screen: Screen, row: number): boolean {
  const rules: number[] = [];
  for (const [i, text] of screen.rows.entries()) if (RULE.test(text)) rules.push(i);
  if (rules.length < 2) return false;
  return row > rules.at(-2)! && row < rules.at(-1)!;
}

function stillAsBefore(screen: Screen, row: number, before: BeforeEnter | undefined): boolean {
  if (before === undefined) return false;
  return before.line === screen.rows[row]!.trim() && before.fromBottom === lastRow(screen) - row;
}
