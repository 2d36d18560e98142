/** Form bodies with brackets, as Stripe's libraries write them: `items[0][price]=p` becomes `{items: [{price: 'p'}]}`. */

export type FormValue = string | Form | FormValue[];
export interface Form {
  [key: string]: FormValue;
}

export function parseForm(body: string): Form {
  const form: Form = {};
  for (const [name, value] of new URLSearchParams(body)) {
    const path = [name.split('[')[0]!, ...[...name.matchAll(/\[([^\]]*)\]/g)].map((match) => match[1]!)];
    let place = form;
    for (const step of path.slice(0, -1)) {
      place[step] ??= {};
      place = place[step] as Form;
    }
    place[path.at(-1)!] = value;
  }
  return listsOf(form) as Form;
}

/** Objects whose keys count from 0 are lists. */
function listsOf(value: FormValue): FormValue {
  if (typeof value === 'string' || Array.isArray(value)) return value;
  const entries = Object.entries(value).map(([key, each]) => [key, listsOf(each)] as const);
  const isList = entries.length > 0 && entries.every(([key], index) => key === String(index));
  return isList ? entries.map(([, each]) => each) : Object.fromEntries(entries);
}
