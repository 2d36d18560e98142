/** Choices at random that can be made again when a test has failed. */

/**
 * Whole numbers from 0 to below `below`, from a seed that is printed; FLEETWIRE_TEST_SEED gives it again. The generator is
 * mulberry32.
 */
export function seededRandom(): (below: number) => number {
  const seed = Number(process.env['FLEETWIRE_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`      seed ${seed}`);
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}
