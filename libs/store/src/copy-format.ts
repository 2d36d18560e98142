/** Rows in the binary format of COPY (https://www.postgresql.org/docs/17/sql-copy.html#SQL-COPY-FILE-FORMATS). */

/** A column of a bulk insert, not null. Text must be without NUL; `int8` is within the safe integers. */
export type CopyColumn<Row> = { readonly name: string } & (
  | { readonly type: 'text'; readonly value: (row: Row) => string }
  | { readonly type: 'int2' | 'int8'; readonly value: (row: Row) => number }
  | { readonly type: 'bool'; readonly value: (row: Row) => boolean }
  | { readonly type: 'bytea'; readonly value: (row: Row) => Uint8Array }
);

/** Signature, flags and the length of an extension that is not there. */
const HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const TRAILER = -1;
/** First size of the buffer, for each row. */
const ROW_BYTES = 512;
/** Longest text that is written char by char, which is quicker than a call of the encoder. */
const SHORT_CHARS = 40;

export function encodeCopy<Row>(columns: readonly CopyColumn<Row>[], rows: readonly Row[]): Buffer {
  const out = new CopyBuffer(HEADER.length + 2 + rows.length * ROW_BYTES);
  out.raw(HEADER);
  for (const row of rows) {
    out.int2(columns.length);
    for (const column of columns) writeField(out, column, row);
  }
  out.int2(TRAILER);
  return out.bytes();
}

function writeField<Row>(out: CopyBuffer, column: CopyColumn<Row>, row: Row): void {
  switch (column.type) {
    case 'text':
      out.text(column.value(row));
      break;
    case 'bytea': {
      const bytes = column.value(row);
      out.int4(bytes.length);
      out.raw(bytes);
      break;
    }
    case 'int8':
      out.int4(8);
      out.int8(column.value(row));
      break;
    case 'int2':
      out.int4(2);
      out.int2(column.value(row));
      break;
    case 'bool':
      out.int4(1);
      out.byte(column.value(row) ? 1 : 0);
  }
}

/** Grows by doubling; big-endian. */
class CopyBuffer {
  #buffer: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#at++] = value;
  }

  int2(value: number): void {
    this.#reserve(2);
    this.#at = this.#buffer.writeInt16BE(value, this.#at);
  }

  int4(value: number): void {
    this.#reserve(4);
    this.#at = this.#buffer.writeInt32BE(value, this.#at);
  }

  int8(value: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`int8 cannot hold ${value} exactly`);
    const high = Math.floor(value / 0x1_0000_0000);
    this.int4(high);
    this.#reserve(4);
    this.#at = this.#buffer.writeUInt32BE(value - high * 0x1_0000_0000, this.#at);
  }

  /** Its length in bytes comes first. */
  text(value: string): void {
    if (value.length <= SHORT_CHARS && this.#ascii(value)) return;
    const length = Buffer.byteLength(value);
    this.int4(length);
    this.#reserve(length);
    this.#at += this.#buffer.write(value, this.#at);
  }

  /** False, with nothing written, when there is another char in it. */
  #ascii(value: string): boolean {
    const { length } = value;
    this.#reserve(4 + length);
    const buffer = this.#buffer;
    const start = this.#at + 4;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return false;
      buffer[start + i] = code;
    }
    buffer.writeInt32BE(length, this.#at);
    this.#at = start + length;
    return true;
  }

  #reserve(size: number): void {
    const needed = this.#at + size;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}
