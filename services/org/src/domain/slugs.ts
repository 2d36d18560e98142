/** Slugs of orgs: short names that are unique in the fabric and stand in links and commands. */

import { FleetwireError, printable } from '@fleetwire/kernel';

const SLUG = /^[a-z0-9](?:-?[a-z0-9])+$/;
const SLUG_MAX = 50;

/** 2 to 50 lowercase letters, digits and single hyphens, none at an end. */
const isSlug = (text: string): boolean => text.length <= SLUG_MAX && SLUG.test(text);

/** Throws INVALID_SLUG. */
export function checkSlug(slug: string): string {
  if (isSlug(slug)) return slug;
  throw new FleetwireError('invalid_argument', 'INVALID_SLUG', `"${printable(slug)}" is not a usable slug`, {
    help: 'Use 2 to 50 lowercase letters, digits and single hyphens, with none at either end.',
    violations: [{ field: 'slug', description: 'must be 2 to 50 lowercase letters, digits and hyphens' }],
  });
}

/** A slug made of a name, such as `acme-gmbh` of "Acme GmbH"; `org` when nothing of the name can stand in one. */
export function slugOf(name: string): string {
  const plain = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, SLUG_MAX - 5)
    .replace(/^-+|-+$/g, '');
  return isSlug(plain) ? plain : 'org';
}

/** The `attempt`th choice, from 0: the slug itself, then numbered ones. */
export function slugChoice(slug: string, attempt: number): string {
  if (attempt === 0) return slug;
  const end = `-${attempt + 1}`;
  return `${slug.slice(0, SLUG_MAX - end.length).replace(/-+$/, '')}${end}`;
}

export function slugTaken(slug: string, free: string | undefined): FleetwireError {
  return new FleetwireError('already_exists', 'SLUG_TAKEN', `the slug "${slug}" is taken`, {
    help: free === undefined ? 'Choose another.' : `"${free}" is free.`,
    details: free === undefined ? { slug } : { slug, suggestion: free },
  });
}
