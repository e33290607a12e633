import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCommands } from '../../src/policy/command.ts';
import type { CommandSpec } from '../../src/policy/spec.ts';
import { UsageError } from '../../src/policy/usage-error.ts';

const one = (text: string): CommandSpec => parseCommands([text])[0]!;
const names = (...texts: string[]) => parseCommands(texts).map((command) => command.name);

describe('what is executed', () => {
  test('a plain command', () => {
    expect(one("  /usr/sbin/nginx -g 'daemon off;'")).toEqual({
      name: 'nginx',
      text: "/usr/sbin/nginx -g 'daemon off;'",
      file: '/usr/sbin/nginx',
      args: ['-g', 'daemon off;'],
      env: {},
      shell: false,
      fits: ['nginx'],
      returns: false,
      stop: null,
      policy: null,
    });
  });

  test('a command for a shell', () => {
    expect(one('app: cd /srv && exec node server.js $PORT')).toEqual({
      name: 'app',
      text: 'cd /srv && exec node server.js $PORT',
      file: '/bin/sh',
      args: ['-c', 'cd /srv && exec node server.js $PORT'],
      env: {},
      shell: true,
      fits: ['server.js'],
      returns: false,
      stop: null,
      policy: null,
    });
  });

  test('a shell does not take a leading dash for its own option', () => {
    expect(one('-x | y').args).toEqual(['-c', ' -x | y']);
  });

  test('assignments in front need no shell', () => {
    expect(one(`A=1 B='x = y' C= __proto__=z prog D=2`)).toMatchObject({
      file: 'prog',
      args: ['D=2'],
      shell: false,
    });
    expect(Object.entries(one(`A=1 B='x = y' C= __proto__=z prog`).env)).toEqual([
      ['A', '1'],
      ['B', 'x = y'],
      ['C', ''],
      ['__proto__', 'z'],
    ]);
    expect(one('A=$B prog')).toMatchObject({ shell: true, env: {}, name: 'prog' });
  });

  test.each(['exec nginx -x', 'exec -- nginx -x', "'exec' nginx -x"])('%s: exec is dropped', (text) => {
    expect(one(text)).toMatchObject({ file: 'nginx', args: ['-x'], shell: false, text });
  });

  test("exec's own options are for a shell", () => {
    expect(one('exec -a www nginx')).toMatchObject({ shell: true, name: 'nginx', fits: ['nginx'] });
  });

  test('wrappers are executed as written', () => {
    expect(one('nice -n 5 nginx')).toMatchObject({ file: 'nice', args: ['-n', '5', 'nginx'], name: 'nginx' });
  });
});

// Text, name, fits.
test.each<[string, string, string[]]>([
  ['sshd', 'sshd', ['sshd']],
  ['/usr/sbin/sshd -D', 'sshd', ['sshd']],
  ['/app/run.sh', 'run', ['run.sh']],
  ['/app/.sh', 'sh', ['.sh']],
  ['php-fpm8.2 -F', 'php-fpm8.2', ['php-fpm8.2']],
  ['"/opt/my app"', 'my-app', ['my app']],
  ['/opt/ü', 'command', ['ü']],
  ['http://x y', 'x', ['x']],
  ["'C:\\prog' x", 'C--prog', ['C:\\prog']],
  // Wrappers.
  ['env -i -u X A=b prog x', 'prog', ['prog']],
  ['env - prog', 'prog', ['prog']],
  ["env -S 'A=1 node --x' app.js", 'app', ['app.js']],
  ['nice -10 prog', 'prog', ['prog']],
  ['nice --adjustment=10 prog', 'prog', ['prog']],
  ['ionice -c 2 -n 0 prog', 'prog', ['prog']],
  ['ionice -c2 prog', 'prog', ['prog']],
  ['nohup prog', 'prog', ['prog']],
  ['setsid -w prog', 'prog', ['prog']],
  ['stdbuf -oL -e 0 prog', 'prog', ['prog']],
  ['timeout -k 5 --signal=KILL 1h prog', 'prog', ['prog']],
  ['chroot --userspec=a:b /jail /bin/prog', 'prog', ['prog']],
  ['setpriv --reuid=1 --regid 2 --init-groups prog', 'prog', ['prog']],
  ['su-exec app:app prog', 'prog', ['prog']],
  ['gosu app prog', 'prog', ['prog']],
  ['gosu app -- prog', 'prog', ['prog']],
  ['runuser -u app -- prog -c x', 'prog', ['prog']],
  ['runuser -u app prog -c x', 'prog', ['prog']],
  ["su - app -s /bin/sh -c 'python3 x.py -v'", 'x', ['x.py']],
  ['sudo -Eu root A=b prog', 'prog', ['prog']],
  ['taskset -c 0,1 prog', 'prog', ['prog']],
  ['taskset 3 prog', 'prog', ['prog']],
  ['chrt -r 10 prog', 'prog', ['prog']],
  ['prlimit --nofile=10 prog', 'prog', ['prog']],
  ['unshare -n --kill-child prog', 'prog', ['prog']],
  ['tini -s -- prog', 'prog', ['prog']],
  ['dumb-init -r 15:2 prog', 'prog', ['prog']],
  ['/usr/bin/env nice sudo -u x -- nohup prog', 'prog', ['prog']],
  ['sudo -l', 'sudo', ['sudo']],
  ['env', 'env', ['env']],
  // Interpreters.
  ['sh -eu /app/run.sh x', 'run', ['run.sh']],
  ['bash -o pipefail run', 'run', ['run']],
  ["sh -c 'nginx -g x'", 'nginx', ['nginx']],
  ["bash -lc 'cd /x && exec gunicorn app:app'", 'gunicorn', ['gunicorn']],
  ['sh', 'sh', []],
  ['python3.11 -u -W ignore /srv/app.py x.py', 'app', ['app.py']],
  ['python3 -m http.server -c x', 'http.server', ['http.server']],
  ["python3 -c 'import x' a.py", 'python3', []],
  ['/usr/bin/env node server.mjs', 'server', ['server.mjs']],
  ['node --require=a -r b --inspect server.js', 'server', ['server.js']],
  ['node -e 1 x.js', 'node', []],
  ['node .', 'node', []],
  ['ruby -I lib -rfoo app.rb', 'app', ['app.rb']],
  ['perl -Mre -w x.pl', 'x', ['x.pl']],
  ['php -d a=b artisan serve', 'artisan', ['artisan']],
  ['php -f x.php', 'x', ['x.php']],
  ['php -S 0.0.0.0:80 -t public', 'php', []],
  ['java -Xmx1g -cp a:b -jar /opt/X.jar -jar y', 'X', ['X.jar']],
  ['java -cp a:b -Dx=y org.foo.Main -c x', 'Main', ['org.foo.Main']],
  ['deno run -A main.ts', 'main', ['main.ts']],
  ['bun server.ts', 'server', ['server.ts']],
  ['npm --prefix /x run web', 'web', []],
  ['npm start', 'start', []],
  ['npm ci', 'npm', []],
  ['npx -y http-server -p 80', 'http-server', ['http-server']],
  ['pnpm run web', 'web', []],
  ['yarn web', 'web', []],
  ['bundle exec puma -C x', 'puma', ['puma']],
  // For a shell.
  ['nginx -c $CONF', 'nginx', ['nginx']],
  ['a 2>/dev/null | b', 'a', ['a']],
  ['. /etc/envvars; exec apache2 -D X', 'apache2', ['apache2']],
  ['mkdir -p /run/sshd && /usr/sbin/sshd -D', 'sshd', ['sshd']],
  ['while true; do prog; sleep 1; done', 'prog', ['prog']],
  ['if [ -f x ]; then A=$B prog; fi', 'prog', ['prog']],
  ['for i in 1 2; do prog $i; done', 'prog', ['prog']],
  ['case $1 in a) prog;; esac', 'prog', ['prog']],
  ['f() { prog; }; f', 'prog', ['prog']],
  ['gosu $USER prog', 'prog', ['prog']],
  ['node $APP', 'node', []],
  ['warm-up; exec prog', 'prog', ['prog']],
  ['exec "$@"', 'sh', []],
  ['$PROG x', 'sh', []],
  ["sh -c 'x \"'", 'sh', []],
])('%s is about %s', (text, name, fits) => {
  expect(one(text)).toMatchObject({ name, fits });
});

// Text, name, the stop.
test.each<[string, string, string[] | null]>([
  ['/etc/init.d/apache2 start', 'apache2', ['/etc/init.d/apache2', 'stop']],
  ['/etc/init.d/apache2 restart', 'apache2', ['/etc/init.d/apache2', 'stop']],
  ['/etc/init.d/apache2 force-reload', 'apache2', ['/etc/init.d/apache2', 'stop']],
  ['/etc/init.d/postgresql start 15', 'postgresql', ['/etc/init.d/postgresql', 'stop', '15']],
  ['/usr/local/etc/rc.d/x onestart', 'x', ['/usr/local/etc/rc.d/x', 'stop']],
  ['/etc/init.d/x status', 'x', null],
  ['/etc/init.d/x', 'x', null],
  ['sh /etc/init.d/x start', 'x', ['sh', '/etc/init.d/x', 'stop']],
  ['exec nice /etc/init.d/x start', 'x', ['nice', '/etc/init.d/x', 'stop']],
  ['/usr/sbin/service x start', 'x', ['/usr/sbin/service', 'x', 'stop']],
  ['invoke-rc.d --quiet x start', 'x', ['invoke-rc.d', '--quiet', 'x', 'stop']],
  ['rc-service x start', 'x', ['rc-service', 'x', 'stop']],
  ['export A=1; /etc/init.d/x start > /log 2>&1', 'x', ['/etc/init.d/x', 'stop']],
  ['/etc/init.d/x start $VERSION', 'x', null],
  ["su - app -c '/etc/init.d/x start'", 'x', null],
])('%s returns', (text, name, stop) => {
  expect(one(text)).toMatchObject({
    name,
    fits: [name],
    returns: true,
    stop: stop && { file: stop[0], args: stop.slice(1) },
  });
});

test.each([
  '/etc/init.d/x start && tail -f /log',
  'while true; do /etc/init.d/x start; done',
  'apache2ctl start',
  'init.d/../x start',
])('%s is not expected to return', (text) => {
  expect(one(text)).toMatchObject({ returns: false, stop: null });
});

describe('names', () => {
  test('are taken from the front', () => {
    expect(one('web_1.x-y:  A=1 nginx')).toMatchObject({
      name: 'web_1.x-y',
      text: 'A=1 nginx',
      file: 'nginx',
    });
    expect(one(`${'n'.repeat(64)}: x`).name).toHaveLength(64);
  });

  test('are no names without a space behind the colon', () => {
    expect(one('C:/x y').file).toBe('C:/x');
    expect(one('PATH=/opt: prog')).toMatchObject({ env: { PATH: '/opt:' }, file: 'prog' });
    expect(one('prog a: b')).toMatchObject({ name: 'prog', args: ['a:', 'b'] });
  });

  test('are unique, in order, and leave those that were given alone', () => {
    expect(names('a 1', 'a 2', 'x/a 3')).toEqual(['a', 'a-2', 'a-3']);
    expect(names('a 1', 'a: x', 'a 2', 'a-3: x', 'a 3')).toEqual(['a-2', 'a', 'a-4', 'a-3', 'a-5']);
    expect(names('a-2', 'a', 'a')).toEqual(['a-2', 'a', 'a-3']);
    expect(names(...Array<string>(12).fill('n'.repeat(80))).at(-1)).toBe(`${'n'.repeat(61)}-12`);
  });
});

test.each<[string[], RegExp]>([
  [[''], /^cannot use the command "": there is nothing in it; write a program/],
  [['# x'], /there is nothing in it/],
  [['web:'], /"web:": nothing follows the name/],
  [['web: '], /nothing follows the name/],
  [['A=1'], /it sets variables and runs nothing; write the program/],
  [['A=1 exec'], /no program follows exec/],
  [["'' x"], /its program is an empty word/],
  [['a\0b'], /NUL byte/],
  [["a 'b"], /single quote is not closed/],
  [[`${'n'.repeat(65)}: x`], /it has 65 characters; use at most 64/],
  [['wéb: nginx'], /^cannot use the name "wéb": a name is made of/],
  [['.web: nginx'], /begins with none/],
  [
    ['web: a', 'b', 'web: c d'],
    /^cannot name two commands "web": "a" and "c d" both have that name; give one/,
  ],
])('%j is refused', (texts, message) => {
  expect(() => parseCommands(texts)).toThrow(UsageError);
  expect(() => parseCommands(texts)).toThrow(message);
});

const piece = fc.constantFrom(
  ...`sh -c env -S sudo -u nice exec npm run java -jar python3 -m /etc/init.d/x start service a b a-2 web: A=1 -- -
  ' " \\ ; && | ( ) { } $x $( \` # ! if then for case do done in esac < > 2>&1 ~ * = : \n`.split(' '),
);
const commandText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(piece, { maxLength: 10 }).map((words) => words.join(' ')),
  fc.array(piece, { maxLength: 10 }).map((words) => words.join('')),
);

test('whatever is given: a UsageError, or commands with good and unique names', () => {
  let parsed = 0;
  fc.assert(
    fc.property(fc.array(commandText, { maxLength: 6 }), (texts) => {
      let commands: CommandSpec[];
      try {
        commands = parseCommands(texts);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        expect((error as Error).message).toMatch(/^cannot [^\n]+: [^\n]+; [^\n]+$/);
        return;
      }
      parsed++;
      expect(commands).toHaveLength(texts.length);
      expect(new Set(commands.map(({ name }) => name)).size).toBe(texts.length);
      for (const { name, file, fits } of commands) {
        expect(name).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/);
        expect(file).not.toBe('');
        expect(fits).not.toContain('');
      }
    }),
    { numRuns: 1500 },
  );
  expect(parsed).toBeGreaterThan(150);
});

test('depth is no way to break it', () => {
  for (const text of ['sudo '.repeat(20_000), '$('.repeat(50_000), `${'env -S '.repeat(2_000)}x`]) {
    expect(one(`web: ${text}`).name).toBe('web');
  }
  let nested = 'prog';
  for (let i = 0; i < 12; i++) nested = `sh -c "${nested.replace(/["\\]/g, '\\$&')}"`;
  expect(one(nested)).toMatchObject({ name: 'sh', fits: [] });
});
