/** Words are completed by the shells themselves, which ask the upkeep that runs. */
import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { hasProgram, noNamespace } from './namespace.ts';
import { type Kept, keep } from './policies.ts';

const policy = `
commands:
  web: sleep 1000
  worker: sleep 1000
  db.main: sleep 1000
groups:
  back: { members: [db.main, worker] }
`;

/** What each shell says that could stand in place of the last word. */
const SHELLS = {
  bash: `source <(upkeep completion bash)
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    compopt() { :; }
    _upkeep; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // What completes is asked for it as zsh's own line editor would do it.
  zsh: `compdef() { :; }
    compadd() { shift; print -rl -- \${(M)@:#\${words[CURRENT]}*}; }
    _describe() { local -a all; all=(\${(P)4:-\${(P)3}}); all=(\${all%%:*}); print -rl -- \${(M)all:#\${words[CURRENT]}*}; }
    _files() { print -rl -- \${words[CURRENT]}*(N); }
    eval "$(upkeep completion zsh)"
    words=("$@") CURRENT=$#
    _upkeep`,
  fish: `upkeep completion fish | source; complete -C (string join ' ' -- $argv) | string replace -r '\\t.*' ''`,
} as const;

const SHELL_NAMES = Object.keys(SHELLS) as (keyof typeof SHELLS)[];

describe.skipIf(noNamespace !== null)(`completion (needs PID namespaces: ${noNamespace})`, () => {
  let kept: Kept;
  let close = async (): Promise<void> => {};
  beforeAll(async () => {
    const cleanup = {
      onTestFinished(end: () => Promise<void>): void {
        close = end;
      },
    };
    kept = await keep(cleanup as never, policy);
    kept.inside.write('upkeep', `#!/bin/sh\nexec '${process.execPath}' '${inject('upkeep')}' "$@"\n`);
    await kept.upkeep.running('web', 'worker', 'db.main');
  });
  afterAll(() => close());

  async function completed(shell: keyof typeof SHELLS, line: readonly string[]): Promise<string[]> {
    const program = {
      bash: ['bash', '--norc', '-c', SHELLS.bash, 'bash'],
      zsh: ['zsh', '-f', '-c', SHELLS.zsh, 'zsh'],
      fish: ['fish', '--no-config', '-c', SHELLS.fish],
    }[shell];
    const child = kept.inside.run([...program, 'upkeep', ...line], {
      env: { PATH: `${kept.inside.dir}:${process.env.PATH}`, HOME: kept.inside.dir },
    });
    let text = '';
    let wrong = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    child.stderr!.on('data', (chunk: Buffer) => {
      wrong += chunk;
    });
    await new Promise((resolve) => child.once('close', resolve));
    expect(wrong).toBe('');
    return [...new Set(text.split('\n').filter((word) => word !== ''))].sort();
  }

  const socket = (): string[] => ['--socket', kept.at('sock')];
  describe.each(SHELL_NAMES)('by %s', (shell) => {
    test.skipIf(!hasProgram(shell))(
      `only where there is ${shell}: verbs, options, names, values`,
      async () => {
        const found = (...line: string[]) => completed(shell, line);
        expect(await found('st')).toEqual(['start', 'status', 'stop']);
        expect(await found('status', ...socket(), '')).toEqual(['db.main', 'web', 'worker']);
        expect(await found('why', ...socket(), 'w')).toEqual(['web', 'worker']);
        expect(await found('stop', ...socket(), 'web', 'db')).toEqual(['db.main']);
        expect(await found('stop', ...socket(), '--group', '')).toEqual(['back']);
        expect(await found('why', ...socket(), 'web', '')).toEqual([]);
        expect(await found('signal', ...socket(), 'web', 'US')).toEqual(['USR1', 'USR2']);
        expect(await found('run', '--log', '')).toEqual(['json', 'plain', 'raw']);
        expect(await found('completion', '')).toEqual(['bash', 'fish', 'zsh']);
        expect(await found('help', 'hea')).toEqual(['health']);
        expect(await found('logs', '--')).toEqual([
          '--follow',
          '--help',
          '--json',
          '--lines',
          '--since',
          '--socket',
        ]);
        expect(await found('check', 'upkeep.y')).toEqual(['upkeep.yaml']);
        // Where nobody answers there are no names, and no words of an error.
        expect(await found('status', '--socket', '/nowhere', '')).toEqual([]);
      },
    );
  });
});

describe('the manual page', () => {
  const page = inject('upkeep').replace(/upkeep\.js$/, 'upkeep.1');

  test.skipIf(!hasProgram('mandoc'))('has nothing that mandoc warns of (needs mandoc)', () => {
    const { stdout } = spawnSync('mandoc', ['-Tlint', '-W', 'warning', page], { encoding: 'utf8' });
    // It has no date: the same sources make the same page.
    const others = stdout.split('\n').filter((line) => line !== '' && !line.includes('missing date'));
    expect(others).toEqual([]);
  });

  test.skipIf(!hasProgram('groff'))('is set by groff without a warning, with each verb (needs groff)', () => {
    const text = execFileSync('groff', ['-man', '-Tutf8', '-ww', '-P-c', '-P-bou', page], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for (const verb of ['run', 'check', 'status', 'health', 'completion']) {
      expect(text).toMatch(new RegExp(`^ {3}upkeep ${verb}$`, 'm'));
    }
  });
});
