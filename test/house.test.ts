/** The house rules, held on the real files: who may import whom, and what nobody may do. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { build, transformSync } from 'esbuild';
import { describe, expect, test } from 'vitest';

interface Import {
  /** A file of the project by its path from the root, or a package by its specifier. */
  readonly of: string;
  readonly type: boolean;
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

const isSource = (path: string): boolean => /\.[cm]?[jt]s$/.test(path);
const sources = ['machines', 'src'].flatMap(filesBelow).filter(isSource);
const inRoom = (room: string): string[] => sources.filter((path) => path.startsWith(room));
const textOf = (path: string): string => readFileSync(path, 'utf8');
/** What is executed: no comments, no types. */
const codeOf = (path: string): string =>
  transformSync(textOf(path), { loader: 'ts', target: 'es2022', legalComments: 'none' }).code;

function importsOf(path: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, type: boolean): void => {
    const of = specifier.startsWith('.') ? join(dirname(path), specifier) : specifier;
    found.push({ of, type });
  };
  for (const [, type, names, specifier] of text.matchAll(
    /^(?:import|export)\s+(type\s+)?([\w$*{][^'"`;=]*?)\s*from\s*['"]([^'"]+)['"]/gm,
  )) {
    const each = /^\{([^}]*)\}$/
      .exec(names!.trim())?.[1]
      ?.split(',')
      .filter((name) => name.trim() !== '');
    const onlyTypes = each?.every((name) => name.trim().startsWith('type ')) ?? false;
    add(specifier!, type !== undefined || onlyTypes);
  }
  for (const [, specifier] of text.matchAll(/^import\s*['"]([^'"]+)['"]/gm)) add(specifier!, false);
  for (const [, before, specifier] of text.matchAll(/(typeof\s+)?\bimport\s*\(\s*['"]([^'"]+)['"]/g)) {
    add(specifier!, before !== undefined);
  }
  for (const [, specifier] of text.matchAll(/\brequire\s*\(\s*['"]([^'"]+)['"]/g)) add(specifier!, false);
  return found;
}

const graph = new Map(sources.map((path) => [path, importsOf(path, textOf(path))]));

/** `file imports what`, for every import of the room that is not allowed. */
function trespasses(room: string, allowed: (imported: Import, path: string) => boolean): string[] {
  return inRoom(room).flatMap((path) =>
    graph
      .get(path)!
      .filter((imported) => !allowed(imported, path))
      .map(({ of, type }) => `${path} imports ${type ? 'the types of ' : ''}${of}`),
  );
}

const isXstate = (of: string): boolean => /^@?xstate(?:\/|$)/.test(of);
const isPackage = (of: string): boolean =>
  !/^(?:src|machines|test|scripts)\//.test(of) && !of.startsWith('.');
const startsWithAny = (of: string, rooms: readonly string[]): boolean =>
  rooms.some((room) => of.startsWith(room));
/** Every place in the room's code that the pattern finds. */
const found = (paths: readonly string[], pattern: RegExp): string[] =>
  paths.flatMap((path) => [...codeOf(path).matchAll(pattern)].map(([text]) => `${path}: ${text}`));

describe('how imports are read', () => {
  test('every kind of import is seen, and whether it is for types alone', () => {
    const text = [
      "import a from 'pkg-a';",
      "import * as b from 'pkg-b';",
      "import type { C } from './c.ts';",
      "import { type D, type E } from '../machines/d.ts';",
      "import { type F, g } from './g.ts';",
      "import {\n  type H,\n  i,\n} from './i.ts';",
      "import './j.ts';",
      "export * from './k.ts';",
      "export { type L } from './l.ts';",
      "const m = await import('./m.ts');",
      "type N = typeof import('./n.ts');",
      "const o = require('pkg-o');",
      "export const from = 'pkg-p';",
    ].join('\n');
    expect(importsOf('src/x.ts', text)).toEqual([
      { of: 'pkg-a', type: false },
      { of: 'pkg-b', type: false },
      { of: 'src/c.ts', type: true },
      { of: 'machines/d.ts', type: true },
      { of: 'src/g.ts', type: false },
      { of: 'src/i.ts', type: false },
      { of: 'src/k.ts', type: false },
      { of: 'src/l.ts', type: true },
      { of: 'src/j.ts', type: false },
      { of: 'src/m.ts', type: false },
      { of: 'src/n.ts', type: true },
      { of: 'pkg-o', type: false },
    ]);
  });

  test('it is the graph that the bundler sees', async () => {
    const { metafile } = await build({
      entryPoints: sources,
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      packages: 'external',
      metafile: true,
      write: false,
      outdir: 'nowhere',
      logLevel: 'silent',
    });
    for (const path of sources) {
      const seen = metafile.inputs[path]!.imports.map((imported) => imported.path);
      const read = graph.get(path)!.filter(({ of, type }) => !type && (!isPackage(of) || seen.includes(of)));
      expect(new Set(read.map(({ of }) => of)), path).toEqual(new Set(seen));
    }
  });

  test('every import names a file that is there, or a package that is declared', () => {
    // What is bundled is needed at build time alone.
    const { dependencies, devDependencies } = JSON.parse(textOf('package.json')) as Record<string, object>;
    const declared = Object.keys({ ...dependencies, ...devDependencies });
    for (const [path, imports] of graph) {
      for (const { of } of imports) {
        if (!isPackage(of)) expect(sources, `${path} imports ${of}`).toContain(of);
        else if (!of.startsWith('node:')) {
          const name = of
            .split('/')
            .slice(0, of.startsWith('@') ? 2 : 1)
            .join('/');
          expect(declared, `${path} imports ${of}`).toContain(name);
        }
      }
    }
  });
});

describe('rooms', () => {
  test('machines/ decides: it imports xstate and itself', () => {
    expect(inRoom('machines/').length).toBeGreaterThan(0);
    expect(trespasses('machines/', ({ of }) => of === 'xstate' || of.startsWith('machines/'))).toEqual([]);
  });

  test('machines/ is pure: no clock, no chance, no timer, no process', () => {
    const impure =
      /\bnew Date\b|\bDate\s*[.(]|\bperformance\s*\.|\bMath\s*\.\s*random\b|\b(?:set(?:Timeout|Interval|Immediate)|queueMicrotask|fetch)\s*\(|\b(?:process|console|globalThis)\s*\./g;
    expect(found(inRoom('machines/'), impure)).toEqual([]);
    for (const text of ['new Date()', 'Date.now()', 'performance.now()', 'Math.random()', 'setTimeout(f)']) {
      expect(text.match(impure), text).not.toBeNull();
    }
  });

  test('src/process/ does: of the house it knows itself, and the types of the vocabulary', () => {
    expect(inRoom('src/process/').length).toBeGreaterThan(0);
    expect(
      trespasses('src/process/', ({ of, type }) => {
        if (isPackage(of)) return !isXstate(of);
        return of.startsWith('src/process/') || (type && of === 'machines/events.ts');
      }),
    ).toEqual([]);
  });

  test('src/output/ tells: it knows Node, itself, and the types of the vocabulary; metrics have a library', () => {
    expect(inRoom('src/output/').length).toBeGreaterThan(0);
    expect(
      trespasses(
        'src/output/',
        ({ of, type }, path) =>
          of.startsWith('node:') ||
          of.startsWith('src/output/') ||
          (type && of === 'machines/events.ts') ||
          (of === 'prom-client' && path === 'src/output/metrics.ts'),
      ),
    ).toEqual([]);
  });

  test('src/actors/ bridges: xstate, machines, itself, and types of what it bridges', () => {
    expect(inRoom('src/actors/').length).toBeGreaterThan(0);
    expect(
      trespasses(
        'src/actors/',
        ({ of, type }) =>
          of === 'xstate' ||
          startsWithAny(of, ['machines/', 'src/actors/']) ||
          (type && (of.startsWith('src/process/') || of === 'rxjs')),
      ),
    ).toEqual([]);
  });

  test('src/policy/ reads: it knows no xstate and touches nothing', () => {
    expect(inRoom('src/policy/').length).toBeGreaterThan(0);
    expect(
      trespasses(
        'src/policy/',
        ({ of }) =>
          !isXstate(of) &&
          !startsWithAny(of, [
            'src/process/',
            'src/actors/',
            'src/control/',
            'src/supervise.ts',
            'src/main.ts',
          ]),
      ),
    ).toEqual([]);
  });

  test('src/export/ writes for other engines: it knows the policy, and touches nothing', () => {
    const files = inRoom('src/export/');
    expect(files.length).toBeGreaterThan(0);
    expect(
      trespasses(
        'src/export/',
        ({ of }) =>
          startsWithAny(of, ['src/export/', 'src/policy/']) ||
          ['src/output/duration.ts', 'machines/restart-policy.ts', 'node:util', 'yaml'].includes(of),
      ),
    ).toEqual([]);
    // Who writes the file of a policy need not read one.
    const readers = ['file', 'reader', 'schema', 'document'].map((name) => `src/policy/${name}.ts`);
    expect(trespasses('src/export/', ({ of }) => !readers.includes(of))).toEqual([]);
  });

  test('src/describe/ describes: it knows the command line, and touches nothing', () => {
    expect(inRoom('src/describe/').length).toBeGreaterThan(0);
    expect(
      trespasses('src/describe/', ({ of }) =>
        startsWithAny(of, [
          'src/describe/',
          'src/policy/',
          'src/export/arguments.ts',
          'src/inspector/arguments.ts',
        ]),
      ),
    ).toEqual([]);
  });

  test('src/inspector/page/ is for browsers: of all else it knows the types', () => {
    expect(inRoom('src/inspector/page/').length).toBeGreaterThan(0);
    expect(
      trespasses('src/inspector/page/', ({ of, type }) => type || of.startsWith('src/inspector/page/')),
    ).toEqual([]);
  });

  test('src/control/ asks: it touches no process', () => {
    expect(inRoom('src/control/').length).toBeGreaterThan(0);
    expect(
      trespasses(
        'src/control/',
        ({ of }) => !startsWithAny(of, ['src/process/', 'src/actors/', 'src/supervise.ts', 'src/main.ts']),
      ),
    ).toEqual([]);
  });
});

test('src/inspector/ shows: it touches no process, and knows XState by one file', () => {
  const shows = ['files', 'fleet', 'hub', 'json', 'protocol', 'server', 'source', 'stately'];
  const paths = shows.map((name) => `src/inspector/${name}.ts`);
  const wrong = paths.flatMap((path) =>
    graph
      .get(path)!
      .filter(
        ({ of }) =>
          startsWithAny(of, ['src/process/', 'src/actors/', 'src/supervise.ts', 'src/main.ts']) ||
          (isXstate(of) && path !== 'src/inspector/stately.ts'),
      )
      .map(({ of }) => `${path} imports ${of}`),
  );
  expect(wrong).toEqual([]);
  // Orders are control's.
  expect(found(paths, /\bsend\s*\(\s*\{/g)).toEqual([]);
});

test('what runs on paper touches no process', () => {
  const onPaper = [
    'recording',
    'record',
    'replay',
    'simulate',
    'simulation',
    'world',
    'root',
    'view',
    'verify',
  ];
  for (const name of onPaper) {
    expect(
      trespasses(
        `src/inspector/${name}.ts`,
        ({ of }) => !startsWithAny(of, ['src/process/', 'src/supervise.ts', 'src/main.ts', 'src/extras.ts']),
      ),
    ).toEqual([]);
  }
});

describe('one place each', () => {
  test('src/supervise.ts provides, creates and starts actors, and src/inspector/root.ts those that run on paper', () => {
    const wiring = /\bcreateActor\b|\.provide\s*\(/g;
    const wired = ['src/supervise.ts', 'src/inspector/root.ts'];
    const others = sources.filter((path) => !wired.includes(path));
    expect(found(others, wiring)).toEqual([]);
    expect(found(['src/supervise.ts'], wiring).length).toBeGreaterThan(0);
  });

  test('src/main.ts alone reads argv', () => {
    const argv = /\bprocess\s*\.\s*argv\b|\bargv\b[^;\n]*['"](?:node:)?process['"]/g;
    expect(
      found(
        sources.filter((path) => path !== 'src/main.ts'),
        argv,
      ),
    ).toEqual([]);
    expect(found(['src/main.ts'], argv).length).toBeGreaterThan(0);
  });

  test('src/main.ts alone listens to signals; src/supervise.ts may hear of children', () => {
    const listening = /\bprocess\s*\.\s*(?:on|once|addListener|prependListener)\s*\(\s*[^,)]*/g;
    const mayHear = (place: string): boolean =>
      /\(\s*["'](?!SIG)[\w-]+["']$/.test(place) || /^src\/supervise\.ts: .*\(\s*["']SIGCHLD["']$/.test(place);
    const others = sources.filter((path) => path !== 'src/main.ts');
    expect(found(others, listening).filter((place) => !mayHear(place))).toEqual([]);
    expect(found(['src/main.ts'], listening).length).toBeGreaterThan(0);
  });

  test('src/main.ts alone ends the process, and src/terminal.ts, which says with what', () => {
    const ending = /\bprocess\s*\.\s*(?:exit|abort|reallyExit)\s*\(|\bprocess\s*\.\s*exitCode\b/g;
    expect(
      found(
        sources.filter((path) => path !== 'src/main.ts' && path !== 'src/terminal.ts'),
        ending,
      ),
    ).toEqual([]);
    expect(found(['src/main.ts'], ending).length).toBeGreaterThan(0);
  });
});

describe('tests', () => {
  const tests = filesBelow('test').filter((path) => path.endsWith('.ts'));
  /** Every line of the tests that the pattern finds, with its lines around. */
  const lines = (pattern: RegExp) =>
    tests.flatMap((path) => {
      const all = textOf(path).split('\n');
      return all.flatMap((line, index) =>
        pattern.test(line)
          ? [
              {
                place: `${path}:${index + 1}`,
                around: all.slice(Math.max(0, index - 3), index + 8).join('\n'),
              },
            ]
          : [],
      );
    });

  test('none runs alone', () => {
    expect(lines(/\.only\s*[(.]/)).toEqual([]);
  });

  test('each that is skipped says why', () => {
    const reason = /\bneeds?\b|\bonly\b|\bwithout\b|\/proc\b|\$\{\w+/;
    const skipped = lines(/\.(?:skip|skipIf|runIf|todo)\s*\(/).filter(
      ({ place }) => !place.startsWith('test/house'),
    );
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped.filter(({ around }) => !reason.test(around)).map(({ place }) => place)).toEqual([]);
  });
});

const listed = spawnSync('git', ['ls-files', '-z'], { encoding: 'utf8' });
const tracked = listed.status === 0 ? listed.stdout.split('\0').filter((path) => path !== '') : [];

test.skipIf(tracked.length === 0)(
  'no file names a place on the machine it was written on (needs git and its repository)',
  () => {
    const place = /(?<![\w.~$})\]-])\/(?:work|home\/[\w.-]+)(?=\/|$)/m;
    for (const text of ['cd /' + 'work/x', '"/' + 'home/me/x"']) expect(text).toMatch(place);
    for (const text of ['net/' + 'work/', 'a/work/x', '$HOME/work/x']) expect(text).not.toMatch(place);
    const naming = tracked.filter((path) => {
      if (!existsSync(path)) return false;
      const bytes = readFileSync(path);
      return !bytes.includes(0) && place.test(bytes.toString('utf8'));
    });
    expect(naming).toEqual([]);
  },
);
