/** The schemas of the engines themselves, as packages carry them. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { CronJob } from 'kubernetes-models/batch/v1/CronJob';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { Service } from 'kubernetes-models/v1/Service';
import { parse, parseAllDocuments } from 'yaml';

// biome-ignore lint/suspicious/noExplicitAny: what is in there is what the tests are about.
export type Tree = Record<string, any>;

/** The text's documents, as both kinds of readers see them. @throws where they differ, or it is no YAML */
export function documentsOf(text: string): Tree[] {
  const read = (version: '1.1' | '1.2') =>
    parseAllDocuments(text, { version, strict: true }).map((document) => {
      if ('errors' in document && document.errors.length > 0) throw document.errors[0];
      return document.toJS() as Tree;
    });
  const [newer, older] = [read('1.2'), read('1.1')];
  if (JSON.stringify(newer) !== JSON.stringify(older)) {
    throw new Error(`read as YAML 1.1 it is something else: ${JSON.stringify(older)}`);
  }
  return newer;
}

/** What stands in comments, each remark in one line. */
export function remarksOf(text: string): string[] {
  const remarks: string[] = [];
  for (const line of text.split('\n')) {
    const comment = /^ *(?:- )?#(.*)$/.exec(line)?.[1];
    if (comment === undefined) continue;
    if (comment.startsWith('  ')) remarks.push(`${remarks.pop()} ${comment.trim()}`);
    else remarks.push(comment.trim());
  }
  return remarks;
}

let compose: ValidateFunction | null = null;

/** What the Compose specification's own schema has against it. */
export function composeProblems(document: Tree): string[] {
  compose ??= composeSchema();
  return compose(document)
    ? []
    : compose.errors!.map(
        ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
      );
}

function composeSchema(): ValidateFunction {
  const require = createRequire(import.meta.url);
  const path = join(require.resolve('dclint/package.json'), '../schemas/compose.schema.json');
  const ajv = new Ajv({ strict: false, validateSchema: false, allErrors: true });
  // Go's, not ISO 8601's.
  ajv.addFormat('duration', /^(?:\d+(?:\.\d+)?(?:us|ms|s|m|h))+$/);
  ajv.addFormat('expose', true);
  ajv.addFormat('ports', true);
  ajv.addFormat('subnet_ip_address', true);
  return ajv.compile(parse(readFileSync(path, 'utf8')));
}

const KINDS: Record<string, { readonly prototype: { validate(): void } }> = {
  'apps/v1 Deployment': Deployment,
  'batch/v1 CronJob': CronJob,
  'batch/v1 Job': Job,
  'v1 Service': Service,
};

/**
 * What the schema of Kubernetes has against it. Of itself it lets every key pass that it does not know, as the API does, which then
 * leaves it out: what the validators never look at is a problem, too.
 */
export function kubernetesProblems(document: Tree): string[] {
  const kind = `${document.apiVersion} ${document.kind}`;
  const Kind = KINDS[kind];
  if (Kind === undefined) return [`there is no ${kind}`];
  const unseen = new Set<string>();
  try {
    // On the document itself: the constructor would copy it, and look at everything.
    Kind.prototype.validate.call(watched(document, '', unseen));
  } catch (error) {
    return [(error as Error).message];
  }
  return [...unseen].map((path) => `${path}: nobody knows that key`);
}

function watched(value: unknown, path: string, unseen: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((one, index) => watched(one, `${path}[${index}]`, unseen));
  const inner = Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, watched(one, `${path}.${key}`, unseen)]),
  );
  for (const key of Object.keys(inner)) unseen.add(`${path}.${key}`);
  return new Proxy(inner, {
    get(target, key) {
      unseen.delete(`${path}.${String(key)}`);
      return Reflect.get(target, key);
    },
  });
}
