/** A client of Attach without a gRPC library, which reads only when it is told to: libraries read ahead. */

import { readFileSync } from 'node:fs';
import { type ClientHttp2Stream, connect, constants } from 'node:http2';
import { join } from 'node:path';
import { AttachRequest, AttachResponse, type ReceiptMark } from '@fleetwire/gen/node';
import type { TestNode } from './test-node.ts';

/** Flag and length before each message, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. */
const PREFIX_BYTES = 5;

export class BareClient {
  readonly responses: AttachResponse[] = [];
  /** Of HTTP/2, when the stream was reset. */
  resetBy: number | undefined;
  /** `grpc-status` at the end of the stream. */
  status: string | undefined;
  details = '';
  readonly #stream: ClientHttp2Stream;
  readonly #close: () => void;
  #unread = Buffer.alloc(0);

  constructor(node: TestNode) {
    const { address } = JSON.parse(readFileSync(join(node.folder.path, 'node.json'), 'utf8')) as {
      address: string;
    };
    const token = readFileSync(join(node.folder.path, 'admin-token'), 'utf8').trim();
    const connection = connect(`http://${address}`);
    connection.on('error', () => undefined);
    this.#close = () => connection.destroy();
    this.#stream = connection.request({
      ':method': 'POST',
      ':path': '/fleetwire.v1.NodeService/Attach',
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${token}`,
    });
    this.#stream.on('error', () => undefined);
    this.#stream.on('close', () => {
      const { rstCode } = this.#stream;
      if (rstCode !== constants.NGHTTP2_NO_ERROR) this.resetBy = rstCode;
    });
    const ended = (headers: Record<string, unknown>) => {
      if (headers['grpc-status'] === undefined) return;
      this.status = String(headers['grpc-status']);
      this.details = decodeURIComponent(String(headers['grpc-message'] ?? ''));
    };
    this.#stream.on('response', ended);
    this.#stream.on('trailers', ended);
  }

  say(request: Parameters<typeof AttachRequest.fromPartial>[0]): void {
    const message = AttachRequest.encode(AttachRequest.fromPartial(request)).finish();
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(message.length, 1);
    this.#stream.write(Buffer.concat([prefix, message]));
  }

  read(): this {
    this.#stream.on('data', (data: Buffer) => this.#take(data));
    return this;
  }

  get goodbye(): string | undefined {
    return this.responses.find((response) => response.goodbye !== undefined)?.goodbye?.reason;
  }

  marks(): ReceiptMark[] {
    return this.responses.map(({ receiptMark }) => receiptMark).filter((mark) => mark !== undefined);
  }

  receiptIds(): string[] {
    return this.responses.flatMap(({ receipts }) => receipts?.receipts ?? []).map((r) => r.messageId);
  }

  close(): void {
    this.#close();
  }

  #take(data: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, data]);
    while (this.#unread.length >= PREFIX_BYTES) {
      const end = PREFIX_BYTES + this.#unread.readUInt32BE(1);
      if (this.#unread.length < end) return;
      this.responses.push(AttachResponse.decode(this.#unread.subarray(PREFIX_BYTES, end)));
      this.#unread = this.#unread.subarray(end);
    }
  }
}
