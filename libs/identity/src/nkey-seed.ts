/** An account's NKEY seed from 32 bytes of one's own; the library makes seeds only from bytes that it draws itself. */

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** First byte of every seed, and the one that says `account`: nats-io/nkeys, `Prefix`. */
const SEED = 18 << 3;
const ACCOUNT = 0;

/** `SA…`, as in nats-io/nkeys `encodeSeed`: prefixes, bytes, CRC-16 (XMODEM, little-endian), base32 without padding. */
export function accountSeed(bytes: Uint8Array): string {
  if (bytes.length !== 32) throw new RangeError('a seed is made of 32 bytes');
  const body = Uint8Array.of(SEED | (ACCOUNT >> 5), (ACCOUNT & 31) << 3, ...bytes);
  const sum = crc16(body);
  return base32(Uint8Array.of(...body, sum & 0xff, sum >> 8));
}

function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}

function base32(bytes: Uint8Array): string {
  let text = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += BASE32[(held >> (bits - 5)) & 31];
    held &= (1 << bits) - 1;
  }
  return bits === 0 ? text : text + BASE32[(held << (5 - bits)) & 31];
}
