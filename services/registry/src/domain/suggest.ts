/** A free name for somebody whose name is taken: the name, then where it lives, then a number. */

const NAME_MAX = 50;
const NUMBERED = 98;

/**
 * Valid names of at most 50 characters, best first, all different: `alice-laptop`, then `alice-laptop-2` and so on.
 * The suffix keeps at most half of the room, so that both parts stay recognizable.
 */
export function suggestions(name: string, suffix: string): string[] {
  const found = new Set<string>();
  for (let number = 1; number <= NUMBERED; number++) {
    const tail = number === 1 ? '' : `-${number}`;
    found.add(joined(name, suffix, tail));
  }
  return [...found];
}

/** The first suggestion that is not among `taken` (folded names); undefined when all are. */
export function freeSuggestion(
  name: string,
  suffix: string,
  taken: ReadonlySet<string>,
  fold: (name: string) => string,
): string | undefined {
  return suggestions(name, suffix).find((candidate) => !taken.has(fold(candidate)));
}

function joined(name: string, suffix: string, tail: string): string {
  const room = NAME_MAX - tail.length - 1;
  const suffixPart = suffix.slice(0, Math.max(Math.floor(room / 2), room - name.length));
  const namePart = name.slice(0, room - suffixPart.length);
  return `${trimmed(namePart)}-${trimmed(suffixPart)}${tail}`.replace(/^-+/, 'x-').slice(0, NAME_MAX);
}

/** A cut may leave a hyphen at its end; two in a row read badly. */
function trimmed(part: string): string {
  return part.replace(/-+$/, '');
}
