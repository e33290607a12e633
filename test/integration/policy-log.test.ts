import { appendFileSync, readFileSync, renameSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { noNamespace } from './namespace.ts';
import { keep } from './policies.ts';

describe.skipIf(noNamespace)(`what becomes of output ${noNamespace ?? ''}`, { concurrent: true }, () => {
  const says = (text: string) => `'echo "${text}"; exec sleep 1000'`;

  test('prefix: its name, nothing, or a text', async (context) => {
    const { upkeep } = await keep(
      context,
      `
commands:
  named: {run: ${says('one')}, log: {prefix: true}}
  bare: {run: ${says('two')}, log: {prefix: false}}
  other: {run: ${says('three')}, log: {prefix: '[web] '}}
  usual: {run: ${says('four')}}
`,
      { log: 'plain' },
    );
    const line = (end: string) =>
      upkeep.until(end, () => upkeep.text.find((text) => text.endsWith(end)) ?? null);
    expect(await line('one')).toMatch(/^named +\| one$/);
    expect(await line('two')).toBe('two');
    expect(await line('three')).toMatch(/^\[web\]/);
    expect(await line('three')).not.toContain('other');
    expect(await line('four')).toMatch(/^usual +\| four$/);
  });

  test('format: json among plain lines, and the other way round', async (context) => {
    const text = `
commands:
  json: {run: ${says('one')}, log: {format: json}}
  plain: {run: ${says('two')}, log: {format: plain}}
  usual: {run: ${says('three')}}
`;
    const plain = await keep(context, text, { log: 'plain' });
    const json = await keep(context, text, { log: 'json' });
    for (const { upkeep } of [plain, json]) {
      await upkeep.until('all of them', () =>
        ['one', 'two', 'three'].every((word) => upkeep.text.some((line) => line.includes(word))),
      );
      expect(upkeep.said('json')[0]).toMatchObject({ line: 'one', stream: 'stdout' });
      expect(upkeep.text.some((line) => /^plain +\| two$/.test(line))).toBe(true);
    }
    expect(plain.upkeep.text.some((line) => /^usual +\| three$/.test(line))).toBe(true);
    expect(json.upkeep.said('usual')[0]).toMatchObject({ line: 'three' });
  });

  test('file: its lines, without a prefix; to the log as well, where tee does not say otherwise', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  both: {run: ${says('one')}, log: {format: plain, file: ${dir}/both.log}}
  alone: {run: ${says('two')}, log: {format: plain, file: {path: ${dir}/alone.log, tee: false}}}
  json: {run: ${says('three')}, log: {file: ${dir}/json.log}}
  sign: {run: ${says('four')}}
`,
    );
    const { upkeep } = kept;
    expect(await kept.written('both.log')).toEqual(['one']);
    expect(await kept.written('alone.log')).toEqual(['two']);
    expect(JSON.parse((await kept.written('json.log'))[0]!)).toMatchObject({ name: 'json', line: 'three' });
    await upkeep.until('the others', () =>
      ['one', 'three', 'four'].every((word) => upkeep.text.some((line) => line.includes(word))),
    );
    expect(upkeep.text.some((line) => line.includes('two'))).toBe(false);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
  });

  test('file: size and count rotate it', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
commands:
  s:
    run: |
      i=0
      while [ $i -lt 400 ]; do echo "line $i of a service that writes much"; i=$((i + 1)); done
      exec sleep 1000
    log: {format: plain, file: {path: ${dir}/s.log, size: 4k, count: 2}}
`,
    );
    const { upkeep } = kept;
    await upkeep.until('its last line', () =>
      kept.linesOf('s.log').some((line) => line.startsWith('line 399 ')),
    );
    expect(kept.has('s.log.1')).toBe(true);
    expect(kept.has('s.log.2')).toBe(true);
    expect(kept.has('s.log.3')).toBe(false);
    const all = ['s.log.2', 's.log.1', 's.log'].flatMap((name) => kept.linesOf(name));
    const numbers = all.map((line) => Number(line.split(' ')[1]));
    expect(numbers).toEqual(Array.from(numbers, (_, index) => 400 - numbers.length + index));
    for (const name of ['s.log', 's.log.1', 's.log.2']) {
      expect(readFileSync(kept.at(name)).length).toBeLessThanOrEqual(4 * 1024);
    }
  });

  test('file: last words are in it when everything has ended', async (context) => {
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: ${inside.install('daemon.sh', 'speaker')} --say hello --last goodbye
    stop: {signal: USR2}
    log: {format: plain, file: {path: ${inside.dir}/s.log, tee: false}}
`,
    );
    await kept.written('s.log');
    expect(await kept.upkeep.stop()).toMatchObject({ code: 0 });
    expect(readFileSync(kept.at('s.log'), 'utf8')).toBe('hello\ngoodbye\n');
  });

  test('tail: new lines of files are logged as its own', async (context) => {
    const kept = await keep(
      context,
      (inside) => `
commands:
  s:
    run: exec sleep 1000
    log: {tail: [${inside.write('one.log', 'old\n', 0o666)}, ${inside.dir}/two.log]}
  t: {run: exec sleep 1000, log: {tail: ${inside.dir}/three.log}}
`,
    );
    const { upkeep } = kept;
    const line = (text: string) =>
      upkeep.until(text, () => upkeep.lines.find((each) => each.line === text) ?? null);
    await upkeep.running('s', 't');
    appendFileSync(kept.at('one.log'), 'first\n');
    expect(await line('first')).toMatchObject({ name: 's', stream: 'file', path: kept.at('one.log') });
    kept.touch('two.log', 'from the beginning\n');
    expect(await line('from the beginning')).toMatchObject({ name: 's', path: kept.at('two.log') });
    kept.touch('three.log', 'of another\n');
    expect(await line('of another')).toMatchObject({ name: 't' });
    // Rotated by its writer.
    renameSync(kept.at('one.log'), kept.at('one.log.1'));
    kept.touch('one.log', 'of the new file\n');
    expect(await line('of the new file')).toMatchObject({ name: 's', path: kept.at('one.log') });
    expect(upkeep.lines.some((each) => each.line === 'old')).toBe(false);
  });

  test('defaults: log is taken key by key', async (context) => {
    const kept = await keep(
      context,
      ({ dir }) => `
defaults: {log: {format: plain, prefix: 'all: '}}
commands:
  s: {run: ${says('one')}, log: {file: ${dir}/s.log}}
`,
    );
    const { upkeep } = kept;
    await upkeep.until('its line', () => upkeep.text.some((line) => /^all: .*one$/.test(line)));
    expect(await kept.written('s.log')).toEqual(['one']);
  });
});
