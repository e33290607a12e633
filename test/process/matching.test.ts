import { existsSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { Exit } from '../../machines/events.ts';
import type { MatchSpec } from '../../src/policy/spec.ts';
import {
  areWorkers,
  chooseHeir,
  chooseLeader,
  type Fit,
  fitsName,
  fitsOf,
  nameCandidates,
  toLeader,
} from '../../src/process/matching.ts';
import { ownSurroundings } from '../../src/process/surroundings.ts';
import type { ProcessRow } from '../../src/process/table.ts';

function row(of: Partial<ProcessRow>): ProcessRow {
  const { argv = [], comm = argv[0]?.split('/').at(-1)?.slice(0, 15) ?? '' } = of;
  return { pid: 10, ppid: 1, startTicks: 10, state: 'S', session: 10, locks: null, ...of, comm, argv };
}

const web: Fit = (process) => fitsName(process, ['web']);
const db: Fit = (process) => fitsName(process, ['db']);
const name = fc.stringMatching(/^[a-z][a-z0-9_.-]{0,30}$/);

describe('a name fits', () => {
  test.for<[string, Partial<ProcessRow>]>([
    ['sshd', { argv: ['/usr/sbin/sshd', '-D'] }],
    ['sshd', { comm: 'sshd', argv: ['sshd: /usr/sbin/sshd [listener] 0 of 10-100 startups'] }],
    ['nginx', { comm: 'nginx', argv: ['nginx: master process /usr/sbin/nginx'] }],
    ['redis-server', { comm: 'redis-server', argv: ['redis-server *:6379'] }],
    ['postgres', { comm: 'postgres', argv: ['/usr/lib/postgresql/15/bin/postgres', '-D', '/data'] }],
    ['app.py', { comm: 'python3', argv: ['python3', '/srv/app.py', '--port', '80'] }],
    ['app.py', { comm: 'python3.11', argv: ['/usr/bin/python3.11', '-u', '/srv/app.py'] }],
    ['server.js', { comm: 'node', argv: ['node', 'server.js'] }],
    // Newer Node calls its main thread so.
    ['server.js', { comm: 'MainThread', argv: ['node', 'server.js'] }],
    ['apache2', { comm: 'apache2', argv: ['/bin/sh', '/etc/init.d/apache2', 'start'] }],
    ['httpd', { comm: 'busybox', argv: ['httpd', '-f'] }],
    // A login shell writes its name with a dash in front.
    ['fish', { comm: 'busybox', argv: ['-fish'] }],
    // An interpreter without a script is a program like others.
    ['bash', { comm: 'bash', argv: ['bash', '-l'] }],
    ['python3.11', { comm: 'python3.11', argv: ['/usr/bin/python3.11'] }],
    // What a script calls itself counts as well.
    ['gunicorn', { comm: 'gunicorn', argv: ['/usr/bin/python3', '/opt/app/main'] }],
    ['a-very-long-program-name', { comm: 'a-very-long-pro', argv: ['/opt/a-very-long-program-name'] }],
    // Its command line cannot be read.
    ['a-very-long-program-name', { comm: 'a-very-long-pro', argv: [] }],
  ])('%s: %j', ([fit, of]) => {
    expect(fitsName(row(of), [fit])).toBe(true);
    expect(fitsName(row(of), ['something-else', fit])).toBe(true);
  });
});

const INTERPRETERS =
  `sh bash dash ash zsh ksh busybox python python3 python3.11 perl perl5.36 ruby ruby3.1 node nodejs node20 php php8.2
   lua lua5.4 tclsh tclsh8.6 java deno bun env`.split(/\s+/);

test.each(INTERPRETERS)('%s goes by the name of what it runs', (interpreter) => {
  const running = row({ comm: interpreter.slice(0, 15), argv: [`/usr/bin/${interpreter}`, '/srv/app'] });
  expect(fitsName(running, ['app'])).toBe(true);
  expect(fitsName(running, [interpreter])).toBe(false);
});

test.each(['pybash', 'nodemon', 'rubyist', 'shd', 'environ', '3', '7sh'])(
  '%s is no interpreter',
  (program) => {
    const running = row({ argv: [`/usr/bin/${program}`, '/srv/app'] });
    expect(fitsName(running, ['app'])).toBe(false);
    expect(fitsName(running, [program])).toBe(true);
  },
);

describe('a name does not fit', () => {
  test.for<[string, Partial<ProcessRow>]>([
    ['ssh', { argv: ['/usr/sbin/sshd', '-D'] }],
    ['sshd', { argv: ['/usr/bin/ssh', 'host'] }],
    ['sshd', { argv: ['vi', '/etc/ssh/sshd'] }],
    ['app.py', { comm: 'python3', argv: ['python3', '/srv/other.py', 'app.py'] }],
    ['python3', { comm: 'python3', argv: ['python3', '/srv/app.py'] }],
    ['node', { comm: 'node', argv: ['node', 'server.js'] }],
    ['sh', { comm: 'sh', argv: ['sh', '/etc/init.d/apache2'] }],
    ['a-very-long-program-name', { comm: 'a-very-long-pro', argv: ['/opt/a-very-long-program-other'] }],
    ['nginx', { comm: 'nginx-exporter', argv: ['nginx-exporter: nginx'] }],
  ])('%s: %j', ([fit, of]) => {
    expect(fitsName(row(of), [fit])).toBe(false);
  });

  test('which only contains it, or is contained in it, begins or ends with it', () => {
    fc.assert(
      fc.property(name, name, fc.boolean(), (fit, more, before) => {
        const other = before ? more + fit : fit + more;
        const long = row({ argv: [`/usr/bin/${other}`, `/etc/${fit}`] });
        const short = row({ argv: [`/usr/bin/${fit}`, `/etc/${other}`] });
        // Interpreters are known by what they interpret, which is their argument here.
        fc.pre(![fit, other].some((word) => INTERPRETERS.includes(word.replace(/[\d.]+$/, ''))));
        expect(fitsName(long, [fit])).toBe(false);
        expect(fitsName(short, [other])).toBe(false);
      }),
    );
  });

  test('where only the first 15 bytes are the same', () => {
    const start = fc.stringMatching(/^[a-z]{15}$/);
    fc.assert(
      fc.property(start, name, name, (head, one, two) => {
        fc.pre(one !== two);
        expect(fitsName(row({ argv: [`/opt/${head}${one}`] }), [head + two])).toBe(false);
        expect(fitsName(row({ argv: [`/opt/${head}${one}`] }), [head + one])).toBe(true);
      }),
    );
  });

  test('to nobody, and nobody’s names, and no arguments at all', () => {
    expect(fitsName(row({ comm: '', argv: [] }), ['web'])).toBe(false);
    expect(fitsName(row({ comm: 'web' }), [])).toBe(false);
    expect(fitsName(row({ comm: '', argv: [''] }), ['web'])).toBe(false);
  });
});

describe('the leader', () => {
  const fitting = { comm: 'web', argv: ['web'] };

  test('is the one of fitting name, then a root, then the oldest', () => {
    const other = row({ pid: 9, startTicks: 1, comm: 'sh' });
    const child = row({ pid: 2, ppid: 3, startTicks: 2, ...fitting });
    const root = row({ pid: 3, startTicks: 3, ...fitting });
    const younger = row({ pid: 4, startTicks: 4, ...fitting });
    expect(chooseLeader([other, child, younger, root], web)).toBe(root);
    expect(chooseLeader([other, child], web)).toBe(child);
    expect(chooseLeader([other], web)).toBe(other);
    expect(chooseLeader([], web)).toBeNull();
  });

  test('is the same whatever the order of the candidates', () => {
    const some = fc.uniqueArray(
      fc.record({
        pid: fc.integer({ min: 2, max: 30 }),
        ppid: fc.integer({ min: 1, max: 30 }),
        startTicks: fc.integer({ min: 1, max: 5 }),
        comm: fc.constantFrom('web', 'sh', 'other'),
      }),
      { selector: ({ pid }) => pid, minLength: 1 },
    );
    fc.assert(
      fc.property(some, fc.integer(), (candidates, seed) => {
        const rows = candidates.map(row);
        const mixed = rows.toSorted((a, b) => ((a.pid * seed) % 7) - ((b.pid * seed) % 7) || b.pid - a.pid);
        const chosen = chooseLeader(rows, web);
        expect(chosen).toBe(chooseLeader(mixed, web));
        expect(chosen!.comm === 'web').toBe(rows.some(({ comm }) => comm === 'web'));
      }),
    );
  });
});

describe('the heir', () => {
  const exit = (code: number | null, known = true): Exit => ({
    known,
    code,
    signal: code === null && known ? 'SIGTERM' : null,
    core: false,
  });
  const master = row({ pid: 20, comm: 'web', argv: ['web'] });
  const worker = row({ pid: 21, ppid: 20, comm: 'web', argv: ['web'] });

  test('of a start that left with status 0 is whoever is left', () => {
    expect(chooseHeir({ exit: exit(0), starting: true }, [worker], db)).toBe(worker);
  });

  test('later is a fitting master with children alone', () => {
    const departure = { exit: exit(0), starting: false };
    expect(chooseHeir(departure, [worker, master], web)).toBe(master);
    expect(chooseHeir(departure, [master], web)).toBeNull();
    expect(chooseHeir(departure, [worker], web)).toBeNull();
    expect(chooseHeir(departure, [worker, master], db)).toBeNull();
  });

  test('is nobody after a signal or a failure, whoever is left', () => {
    for (const starting of [true, false]) {
      for (const how of [exit(null), exit(1), exit(255)]) {
        expect(chooseHeir({ exit: how, starting }, [worker, master], web)).toBeNull();
      }
    }
  });

  test('where the status is not known is what it would be after status 0', () => {
    expect(chooseHeir({ exit: exit(null, false), starting: false }, [worker, master], web)).toBe(master);
    expect(chooseHeir({ exit: exit(null, false), starting: false }, [worker], web)).toBeNull();
  });
});

describe('what is left', () => {
  const [one, two] = [row({ pid: 20, session: 7 }), row({ pid: 21, session: 7 })];

  test('of a master are several in its session, none of them above another', () => {
    expect(areWorkers([one, two], 7)).toBe(true);
    // In a session of his own somebody else has begun anew.
    expect(
      areWorkers([one, two, row({ pid: 22, session: 22 }), row({ pid: 23, ppid: 22, session: 22 })], 7),
    ).toBe(true);
  });

  test.each<[string, ProcessRow[], number]>([
    ['nothing', [], 7],
    ['one alone, as a daemon’s fork leaves it', [one], 7],
    ['a master with a child', [one, row({ pid: 21, ppid: 20, session: 7 })], 7],
    ['several of other sessions', [row({ pid: 20, session: 8 }), row({ pid: 21, session: 9 })], 7],
    [
      'several of whom the session is not known',
      [row({ pid: 20, session: 0 }), row({ pid: 21, session: 0 })],
      0,
    ],
  ])('of %s are no workers', (_, survivors, session) => {
    expect(areWorkers(survivors, session)).toBe(false);
  });
});

describe('candidates by name', () => {
  test('are fitting processes whose parent does not fit, and not the excluded', () => {
    const rows = [
      row({ pid: 20, argv: ['web'] }),
      row({ pid: 21, ppid: 20, argv: ['web'] }),
      row({ pid: 22, argv: ['other'] }),
      row({ pid: 23, argv: ['web'] }),
      // A kernel thread, or a zombie.
      row({ pid: 24, comm: 'web', argv: [] }),
    ];
    expect(nameCandidates(rows, web, new Set()).map(({ pid }) => pid)).toEqual([20, 23]);
    expect(nameCandidates(rows, web, new Set([20])).map(({ pid }) => pid)).toEqual([21, 23]);
  });
});

test('a leader is shown by the name of its script, else by what the kernel calls it', () => {
  const shown = (of: Partial<ProcessRow>) => toLeader(row({ pid: 7, startTicks: 70, ...of }), 'tag', 5);
  expect(shown({ comm: 'python3', argv: ['python3', '-u', '/srv/app.py'] })).toEqual({
    pid: 7,
    startTicks: 70,
    name: 'app.py',
    rule: 'tag',
    since: 5,
  });
  expect(shown({ comm: 'bash', argv: ['-bash'] }).name).toBe('bash');
  expect(shown({ comm: 'nginx', argv: ['nginx: master process'] }).name).toBe('nginx');
  expect(shown({ comm: 'kworker', argv: [] }).name).toBe('kworker');
});

describe('what a policy asks of a leader', () => {
  const NOTHING: MatchSpec = {
    name: null,
    pattern: null,
    user: null,
    parent: null,
    pidFile: null,
    count: null,
  };
  const parents = [row({ pid: 5, comm: 'runner', argv: ['/bin/runner'] })];
  const owners = new Map([[10, 33]]);
  /** Rules for a command whose leader would be called `web`. */
  function rules(match: Partial<MatchSpec>, pidFile: { pid: number; age: number } | null = null) {
    const surroundings = {
      ownerOf: (pid: number) => owners.get(pid) ?? null,
      uidOf: (user: string) => (user === 'www' ? 33 : null),
      pidIn: () => pidFile,
    };
    const parentOf = ({ ppid }: ProcessRow) => parents.find(({ pid }) => pid === ppid);
    const kin = { name: 'web', fits: ['web'], match: { ...NOTHING, ...match } };
    return fitsOf(kin, surroundings, parentOf, ({ startTicks }) => 100_000 - startTicks * 10);
  }
  const beam = row({ comm: 'beam.smp', argv: ['/usr/bin/beam.smp', '-name', 'rabbit'], ppid: 5 });
  const other = row({ comm: 'web', argv: ['web'], pid: 11 });

  test.each<[Partial<MatchSpec>, boolean, boolean]>([
    [{ name: 'beam.smp' }, true, false],
    [{ pattern: 'beam.smp -name rab+it$' }, true, false],
    [{ name: 'beam.smp', pattern: 'other' }, false, false],
    [{ name: 'web', pattern: '^web$' }, false, true],
    [{ name: 'beam.smp', user: 'www' }, true, false],
    [{ name: 'beam.smp', user: 'root' }, false, false],
    // Neither that user nor the owner of the other is known.
    [{ name: 'web', user: 'nobody-knows' }, false, false],
    [{ name: 'beam.smp', parent: 'runner' }, true, false],
    [{ name: 'beam.smp', parent: 'run' }, false, false],
    // It has no parent that is known.
    [{ name: 'web', parent: 'runner' }, false, false],
  ])('%j', (match, isBeam, isOther) => {
    const { mayLead, own, stranger, counted } = rules(match);
    for (const fits of [mayLead, own, stranger, counted])
      expect([fits(beam), fits(other)]).toEqual([isBeam, isOther]);
  });

  test.each<[Partial<MatchSpec>]>([[{ user: 'www' }], [{ parent: 'runner' }]])(
    '%j alone is enough for one of its own, and a stranger has to have the command’s name as well',
    (match) => {
      const { mayLead, own, stranger, counted } = rules(match);
      const named = { ...other, pid: 10, ppid: 5 };
      // Another user, another parent.
      for (const fits of [mayLead, own, stranger, counted]) expect(fits(other)).toBe(false);
      expect([mayLead(beam), counted(beam), own(beam), stranger(beam)]).toEqual([true, true, false, false]);
      for (const fits of [mayLead, own, stranger, counted]) expect(fits(named)).toBe(true);
      // Of its own, the one of the command’s name before the others.
      expect(
        chooseLeader([beam, { ...named, startTicks: beam.startTicks + 1 }].filter(mayLead), own),
      ).toMatchObject({
        comm: 'web',
      });
    },
  );

  test('nothing, or a number of them alone, leaves it with its name', () => {
    for (const found of [rules({}), rules({ count: [1, 2] })]) {
      expect([found.own(other), found.own(beam), found.stranger(beam)]).toEqual([true, false, false]);
      expect([found.counted(other), found.counted(beam)]).toEqual([true, false]);
      expect([found.mayLead(other), found.mayLead(beam)]).toEqual([true, true]);
    }
  });

  test('a pid file names one of its own, and a stranger only if that fits as well', () => {
    const named = rules({ pidFile: '/run/web.pid' }, { pid: 10, age: 50_000 });
    expect([named.own(beam), named.own(other)]).toEqual([true, false]);
    expect(named.stranger(beam)).toBe(false);
    expect(named.counted(other)).toBe(true);
    const fitting = rules({ pidFile: '/run/web.pid' }, { pid: 11, age: 50_000 });
    expect(fitting.stranger(other)).toBe(true);
    expect(rules({ pidFile: '/run/web.pid' }).own(beam)).toBe(false);
  });

  test('a pid file that is older than the process is another one’s', () => {
    // The process is 99,900 ms old.
    for (const [age, fits] of [
      [99_900, true],
      [100_800, true],
      [101_000, false],
      [500_000, false],
    ] as const) {
      expect(rules({ pidFile: '/run/web.pid' }, { pid: 10, age }).own(beam), String(age)).toBe(fits);
    }
    const untold = { ...beam, startTicks: 0 };
    expect(rules({ pidFile: '/run/web.pid' }, { pid: 10, age: 500_000 }).own(untold)).toBe(true);
  });
});

describe('what a row does not tell', () => {
  const path = join(tmpdir(), `upkeep-${process.pid}.pid`);
  const put = (text: string) => writeFileSync(path, text);
  afterAll(() => rmSync(path, { force: true }));

  test('is in pid files', () => {
    expect(ownSurroundings.pidIn(path)).toBeNull();
    put(' 123\n');
    expect(ownSurroundings.pidIn(path)?.pid).toBe(123);
    utimesSync(path, new Date(), new Date(Date.now() - 60_000));
    const { age } = ownSurroundings.pidIn(path)!;
    expect(Math.abs(age - 60_000)).toBeLessThan(30_000);
    put('none');
    expect(ownSurroundings.pidIn(path)).toBeNull();
  });

  test.skipIf(!existsSync('/proc/self/status'))('is in /proc and in /etc/passwd (needs /proc)', () => {
    expect(ownSurroundings.ownerOf(process.pid)).toBe(process.geteuid!());
    expect(ownSurroundings.ownerOf(2 ** 30)).toBeNull();
    expect(ownSurroundings.uidOf('root')).toBe(0);
    expect(ownSurroundings.uidOf('no-such-user')).toBeNull();
  });
});
