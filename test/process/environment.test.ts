import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createRedactor,
  parseEnvFile,
  Refused,
  redact,
  revealSecrets,
  scrubEnvironment,
} from '../../src/process/environment.ts';

const JUNK = [
  'NODE_OPTIONS',
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
  'NODE_UNIQUE_ID',
  'npm_config_registry',
  'npm_lifecycle_event',
  'INIT_CWD',
  'LISTEN_FDS',
  'LISTEN_PID',
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'UPKEEP_NO_NATIVE',
];
const KEPT = [
  'PATH',
  'HOME',
  'NODE_ENV',
  'NODE_PATH',
  'NPM_TOKEN',
  'MY_NODE_OPTIONS',
  'xnpm_a',
  'LISTEN',
  'TZ',
];

test('what was meant for upkeep, Node or npm is left out and named, the rest is kept', () => {
  const env = Object.fromEntries([...JUNK, ...KEPT].map((name) => [name, `of ${name}`]));
  const { env: kept, dropped } = scrubEnvironment(env);
  expect(dropped.toSorted()).toEqual(JUNK.toSorted());
  expect(kept).toEqual(Object.fromEntries(KEPT.map((name) => [name, `of ${name}`])));
  expect(Object.keys(env)).toHaveLength(JUNK.length + KEPT.length);
});

describe('an env file', () => {
  const read = (text: string) => parseEnvFile(text, '/etc/app.env');

  test.each<[string, string, Record<string, string>]>([
    ['plain', 'A=1\nB=two words\n', { A: '1', B: 'two words' }],
    ['without a last newline, with a mark in front', '\uFEFFA=1', { A: '1' }],
    ['lines of Windows', 'A=1\r\nB="2"\r\n', { A: '1', B: '2' }],
    ['empty', 'A=\nB=""\nC=\'\'\n', { A: '', B: '', C: '' }],
    ['comments and empty lines', '# A=1\n\n  ; B=2\n  # C\nD=4\n', { D: '4' }],
    ['export', 'export A=1\n export  B="2"\nexport C\n', { A: '1', B: '2' }],
    ['a name alone is what it is', 'A\nB=1\n', { B: '1' }],
    [
      'to the end of the line',
      'A=#fff # no comment $HOME `id`\nB=a"b\'c\n',
      {
        A: '#fff # no comment $HOME `id`',
        B: 'a"b\'c',
      },
    ],
    ['spaces around are no part of it', '  A =  x y  \t\nB="  x "  # comment\n', { A: 'x y', B: '  x ' }],
    ['single quotes', 'A=\'a "b" \\n $x\'\n', { A: 'a "b" \\n $x' }],
    ['double quotes', 'A="a \\"b\\" \\\\ \\$x \\n\\t\\z"\n', { A: 'a "b" \\ $x \n\t\\z' }],
    ['several lines', 'A="x\ny\\\nz"\nB=\'1\n2\'\nC=3', { A: 'x\nyz', B: '1\n2', C: '3' }],
    ['an equals sign', 'A=b=c\nB==\n', { A: 'b=c', B: '=' }],
    ['names of others', 'my.app-x=1\n', { 'my.app-x': '1' }],
    ['the later wins', 'A=1\nA=2\n', { A: '2' }],
    ['nothing', '', {}],
  ])('%s', (_, text, found) => {
    expect(read(text)).toEqual(found);
  });

  test.each([
    ['A=1\n=2\n', 2, 'there is no name'],
    ['A=1\n\nB C\n', 3, 'no "="'],
    ['# x\nA="x\n\n', 2, 'quotes'],
    ['A="x" y\n', 1, 'quotes'],
    ["A='x'y\nB=1", 1, 'quotes'],
    ['"A"=1', 1, 'no name'],
    ['A="x\ny"\nB=\'', 3, 'quotes'],
    ['A=a\0b', 1, 'NUL'],
  ])('that cannot be read: %j, line %i', (text, line, why) => {
    expect(() => read(text)).toThrow(Refused);
    expect(() => read(text)).toThrow(`/etc/app.env:${line}: `);
    expect(() => read(text)).toThrow(why);
  });

  test('what cannot be read is not shown', () => {
    expect(() => read('PASSWORD="hunter2')).not.toThrow('hunter2');
  });

  test('any value comes back from double quotes, and any line without quotes', () => {
    const value = fc.string().filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(value, (text) => {
        expect(read(`A="${text.replace(/[\\"]/g, '\\$&')}"`)).toEqual({ A: text });
      }),
    );
    fc.assert(
      fc.property(value, (text) => {
        const line = text.replace(/[\n\r'"]/g, '').trim();
        expect(read(`A=${line}\n`)).toEqual({ A: line });
      }),
    );
  });
});

describe('a secret', () => {
  const files: Record<string, string> = { '/run/db': 'hunter2\n', '/run/two': 'a\n\n', '/run/nul': 'a\0' };
  function reveal(env: Record<string, string>, file: string | null = null) {
    const changed: NodeJS.ProcessEnv = { ...env };
    const found = revealSecrets(changed, { DB: { file } }, (path) => files[path]!);
    return { env: changed, found };
  }

  test('is what the file that its _FILE names holds, without the last newline; the name goes', () => {
    expect(reveal({ DB_FILE: '/run/db', X: '1' })).toEqual({
      env: { DB: 'hunter2', X: '1' },
      found: ['hunter2'],
    });
    expect(reveal({ DB_FILE: '/run/two' }).found).toEqual(['a\n']);
  });

  test('can be given by the policy, or by itself', () => {
    expect(reveal({}, '/run/db')).toEqual({ env: { DB: 'hunter2' }, found: ['hunter2'] });
    expect(reveal({ DB: 'itself' })).toEqual({ env: { DB: 'itself' }, found: ['itself'] });
  });

  test('has to be given, and once', () => {
    expect(() => reveal({})).toThrow('DB_FILE to the path of a file with it, or DB itself');
    expect(() => reveal({ DB: 'a', DB_FILE: '/run/db' })).toThrow('by DB and DB_FILE');
    expect(() => reveal({ DB: 'a' }, '/run/db')).toThrow('by DB and the file of the policy, /run/db');
    expect(() => reveal({ DB_FILE: '/run/nul' })).toThrow('NUL');
  });

  test('is not shown, nor a longer one by a shorter one; what is short stands anywhere', () => {
    expect(redact('at hunter22 and hunter2 in', ['hunter2', 'hunter22', 'in'])).toBe('at *** and *** in');
    const redactor = createRedactor();
    expect(redactor.redact('hunter2')).toBe('hunter2');
    redactor.learn(['hunter2']);
    redactor.learn(['other-one']);
    expect(redactor.redact('hunter2, other-one')).toBe('***, ***');
    redactor.learn(['pässwort']);
    const bytes = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.from([0xff, 0x0a])]);
    expect(redactor.redactBytes(bytes('ä pässwort hunter2 ö'))).toEqual(bytes('ä *** *** ö'));
    const plain = bytes('nothing');
    expect(redactor.redactBytes(plain)).toBe(plain);
  });

  test('is taken out of texts alone where it becomes JSON: not out of keys, numbers, names and upkeep’s own words', () => {
    const redactor = createRedactor((text) => text === 'postgres');
    const value = {
      type: 'command.died',
      command: 'postgres',
      to: 'group:0:#0/command:postgres',
      state: 'running.ready',
      settle: 1000,
      root: { deep: [{ message: 'root has 1000, says running' }] },
      value: { running: { ready: 'running' } },
      members: ['postgres', 'x postgres'],
      sets: new Set(['postgres', 'a 1000']),
      maps: new Map([['root', 'root']]),
      error: new Error('at 1000'),
    };
    expect(redactor.redactValue(value)).toBe(value);
    redactor.learn(['1000', 'root', 'running', 'postgres', 'command']);
    expect(redactor.redactValue(value)).toEqual({
      ...value,
      root: { deep: [{ message: '*** has ***, says ***' }] },
      members: ['postgres', 'x ***'],
      sets: new Set(['postgres', 'a ***']),
      maps: new Map([['root', '***']]),
      error: new Error('at ***'),
    });
    const clean = { a: [1, 'b'], c: new Map([['d', { e: null }]]) };
    expect(redactor.redactValue(clean)).toBe(clean);
    expect(redactor.redactValue('1000', 'argv')).toBe('***');
    expect(redactor.redactValue('running', 'state')).toBe('running');
  });

  test('of several lines is not shown line by line either; what frames them is', () => {
    const redactor = createRedactor();
    redactor.learn([
      '-----BEGIN KEY-----\r\nMIIEvQIBADAN\r\n-----END KEY-----\n',
      '{\n  "key": "hunter2hunter2"\n    }',
    ]);
    for (const line of [
      '-----BEGIN KEY-----',
      'MIIEvQIBADAN',
      '"key": "hunter2hunter2"',
      JSON.stringify('MIIEvQIBADAN'),
    ])
      expect(redactor.redact(`got ${line} there`).replaceAll('"', '')).toBe('got *** there');
    expect(redactor.redactBytes(Buffer.from('x MIIEvQIBADAN\n'))).toEqual(Buffer.from('x ***\n'));
    expect(redactor.redact('{}    }')).toBe('{}    }');
    // Whole, where it is printed on one line.
    expect(redactor.redact(JSON.stringify({ all: '{\n  "key": "hunter2hunter2"\n    }' }))).toBe(
      '{"all":"***"}',
    );
  });
});
