/** Choices at random that can be made again when a test has failed. */

/** Whole numbers from 0 to below `below`. */
export type Random = (below: number) => number;

/** From a seed that is printed; FLEETWIRE_TEST_SEED gives it again. */
export function seededRandom(): Random {
  const seed = testSeed();
  console.log(`      seed ${seed}`);
  return randomOf(seed);
}

/** What FLEETWIRE_TEST_SEED says, else another one each time. */
export function testSeed(): number {
  return Number(process.env['FLEETWIRE_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
}

/** The same seed gives the same numbers. The generator is mulberry32. */
export function randomOf(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}
