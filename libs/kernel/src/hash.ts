/** Numbers that are the same in every process for the same text, and look random otherwise. */

/** FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Of two such numbers another one, by the last steps of MurmurHash3: near values come out far apart. */
export function mix(a: number, b: number): number {
  let hash = a ^ b;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
