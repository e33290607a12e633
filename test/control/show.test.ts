import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventLine, logLine, whyText } from '../../src/control/show.ts';
import { whyOf } from '../../src/control/why.ts';
import { widthOf } from '../../src/control/width.ts';
import type { CrashReport } from '../../src/output/crash.ts';
import { createInside } from './inside.ts';

test('the evidence in words is of what a process calls itself, and steers no terminal', () => {
  const inside = createInside({
    candidatesOf: () => [
      {
        pid: 5,
        ppid: 1,
        name: 'evil',
        state: 'S',
        argv: ['evil\x1b[2J\x07', '\x9b31m', 'line\nbreak'],
        since: 0,
        verdict: 'refused',
        because: 'only its name fits',
      },
    ],
  });
  inside.note('stop', ['web'], { uid: 0, pid: 123 });
  for (let count = 0; count < 5; count++) inside.note('signal SIGHUP', ['web']);
  const text = whyText(
    whyOf(inside, 'web', () => null),
    80,
  );
  expect(text).toMatch(/^ {2}- 5 \(parent 1, .* old\) evil/m);
  expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  // A signal is no wish.
  expect(text.replaceAll(/\n +/g, ' ')).toContain(
    'wished up since 2023-11-14T22:13:20.000Z (stop, ordered by uid 0, pid 123), and that is so.',
  );
});

describe('the evidence in words', () => {
  const crash: CrashReport = {
    number: 12,
    time: '2026-11-24T20:00:00.000Z',
    at: 1_000,
    event: 'command.died',
    pid: 16,
    exit: { known: true, code: null, signal: 'SIGKILL', core: false },
    oom: false,
    peak: null,
    uptime: 60_000,
    reason: null,
    restart: 3,
    failures: 0,
    wait: 2_000,
    remains: null,
    gaveUp: null,
    lastLines: [],
  };
  const textWith = (change: Partial<CrashReport>, columns = 80): string => {
    const inside = createInside();
    inside.crashes.push({ ...crash, ...change });
    return whyText(
      whyOf(inside, 'web', () => null),
      columns,
    );
  };
  const asOne = (text: string): string => text.replaceAll(/\n +/g, ' ');

  test('fits, whatever a service has printed, and nothing of it is lost', () => {
    const words = fc.array(fc.stringMatching(/^[\w.:/"-]{1,30}$/), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(words, fc.integer({ min: 80, max: 200 }), (printed, columns) => {
        const line = printed.join(' ');
        const text = textWith({ lastLines: [line], oom: true, peak: 167 * 2 ** 20 }, columns);
        for (const each of text.split('\n')) expect(widthOf(each), each).toBeLessThanOrEqual(columns);
        expect(asOne(text)).toContain(`> ${line}`);
      }),
    );
  });

  test('a word that is wider than the terminal stays whole', () => {
    const word = 'x'.repeat(200);
    expect(textWith({ lastLines: [`a ${word} b`] })).toContain(`> a\n           ${word}\n           b\n`);
  });

  test('has what it had printed before its last death, and before its last failure', () => {
    const inside = createInside();
    const start = { event: 'command.failedStart', reason: 'exited', oom: null } as const;
    inside.crashes.push(
      { ...crash, number: 1, lastLines: ['of an older death'] },
      { ...crash, number: 2, lastLines: ['why it died'] },
      { ...crash, ...start, number: 3, failures: 1, lastLines: ['of an older start'] },
      { ...crash, ...start, number: 4, failures: 2, lastLines: ['why it does not start'] },
    );
    const text = whyText(
      whyOf(inside, 'web', () => null),
      80,
    );
    expect(text.match(/^ {2}\d\.|^ +> .*$/gm)).toEqual([
      '  1.',
      '  2.',
      '       > why it died',
      '  3.',
      '  4.',
      '       > why it does not start',
    ]);
  });

  test('of a SIGKILL that was not the kernel says that somebody has sent it', () => {
    const sent = 'memory had not run out: somebody has sent it';
    expect(asOne(textWith({}))).toContain(`was killed by SIGKILL; ${sent}; after 1 m`);
    expect(asOne(textWith({ event: 'command.failedStart', reason: 'exited' }))).toContain(sent);
    // upkeep itself, that nobody can tell, another signal.
    const others = [
      { event: 'command.unhealthy', reason: 'no answer' },
      { oom: null },
      { oom: true },
      { exit: { known: true, code: null, signal: 'SIGSEGV', core: false } },
    ] as const;
    for (const other of others) expect(asOne(textWith(other))).not.toContain(sent);
  });

  test('of many processes shows some of each kind, the leader first, and says how many more there are', () => {
    const candidate = (verdict: 'leader' | 'member' | 'refused') => (_: unknown, pid: number) => ({
      pid,
      ppid: 1,
      name: 'web',
      state: 'S',
      argv: ['web', verdict],
      since: 0,
      verdict,
      because: 'so it is',
    });
    const many = (count: number) => [
      ...Array.from({ length: count }, candidate('refused')),
      ...Array.from({ length: 11 }, candidate('member')),
      candidate('leader')(null, 5),
    ];
    const marked = (count: number): string[] =>
      whyText(
        whyOf(createInside({ candidatesOf: () => many(count) }), 'web', () => null),
        80,
      )
        .split('\n')
        .filter((line) => /^ {2}[*+-] /.test(line))
        .map((line) => line.replace(/\d+ \(.*\) /, ''));
    expect(marked(10)).toEqual([
      '  * web leader',
      ...Array(10).fill('  + web member'),
      '  + … and 1 more, which --json has',
      ...Array(10).fill('  - web refused'),
    ]);
    expect(marked(1_000).at(-1)).toBe('  - … and 990 more, which --json has');
  });

  test('of a schedule says which runs were left out', () => {
    const inside = createInside();
    const text = (count: number): string => {
      for (let n = 0; n < count; n++) {
        inside.journal.note({ type: 'command.overlapped', at: 1, command: 'web', next: 'skip' });
      }
      return whyText(
        whyOf(inside, 'web', () => null),
        80,
      );
    };
    expect(text(0)).not.toContain('left out');
    expect(text(1)).toContain('\n1 run that was due has been left out since its last one began.\n');
    expect(text(2)).toContain('\n3 runs that were due have been left out since');
  });
});

test('lines of logs and events', () => {
  const line = JSON.stringify({ time: '2026-01-01T00:00:00.000Z', name: 'web', line: 'hello' });
  expect(logLine(line, 5)).toBe('web   | hello\n');
  expect(logLine(JSON.stringify({ name: 'web', lost: 1 }), 0)).toMatch(/^web \| … 1 line was written over/);
  expect(logLine(JSON.stringify({ name: 'web', lost: 7 }), 0)).toMatch(/7 lines were/);
  expect(eventLine(JSON.stringify({ gone: 3 }))).toBe('… 3 events before these are kept no more\n');
  expect(eventLine(JSON.stringify({ gone: 1 }))).toBe('… 1 event before these is kept no more\n');
  expect(eventLine(JSON.stringify({ number: 5, time: 'T', message: 'm' }))).toBe('     5  T  m\n');
});
