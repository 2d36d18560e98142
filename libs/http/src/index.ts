/** The door to HTTP: routes as data, bounded bodies and connections, errors as FleetwireError. */

export { escapeHtml, styleHash } from './page.ts';
export { type HttpServer, type HttpServerOptions, startHttpServer } from './server.ts';
export type {
  BodyKind,
  HttpAnswer,
  HttpHop,
  HttpLog,
  HttpMethod,
  HttpPage,
  HttpRefusal,
  HttpRequest,
  HttpRoute,
} from './types.ts';
