/** Who is measured, and how each is started and stopped: as its own documentation says. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';

import { join } from 'node:path';
import { type Arena, quietly } from './arena.ts';
import type { Tools } from './tools.ts';

export interface Command {
  readonly name: string;
  /** No word holds a space or a character that a shell or a configuration would read. */
  readonly words: readonly string[];
  /** A regular expression that finds it, and nobody else, by what `ps` shows of it. */
  readonly pattern: string;
  /** Puts itself into the background, and writes its pid into this file. */
  readonly daemon: { readonly pidFile: string } | null;
}

export interface Options {
  /** Where services' lines go. `none`: thrown away, or whatever costs least. */
  readonly log: 'none' | 'plain' | 'json' | 'raw' | 'file';
  /** Between two looks, for who looks; null: as it comes. */
  readonly everySecond: boolean;
}

/** `signal`: to the main process. `run`: a program beside it. `alone`: wait until all services are gone. */
type Step = { readonly signal: number } | { readonly run: readonly string[] } | { readonly wait: 'alone' };

export interface Plan {
  readonly words: readonly string[];
  readonly stop: readonly Step[];
  /** Files that hold what the services write, with `log: file`. */
  readonly files?: readonly string[];
}

export interface Peer {
  readonly name: string;
  /** A yardstick, no supervisor that anybody would use. */
  readonly floor: boolean;
  readonly install: string;
  readonly logs: readonly Options['log'][];
  /** It stops what it has started. */
  readonly stops: boolean;
  /** It keeps commands that put themselves into the background. */
  readonly daemons: boolean;
  /** Deaths are found within this many ms, at worst. */
  readonly patience: number;
  /** @returns null where it is not installed */
  readonly version: (tools: Tools) => string | null;
  /** Writes its configuration into the arena's folder. */
  readonly plan: (arena: Arena, commands: readonly Command[], options: Options) => Plan;
}

const SIGHUP = 1;
const SIGTERM = 15;
const TERM: readonly Step[] = [{ signal: SIGTERM }];

const output = (file: string, ...args: string[]): string | null =>
  quietly(() => execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }));
/** The version of a package of Debian's; null where its program is missing. */
const debian = (name: string, program: string): string | null =>
  existsSync(program)
    ? (output('dpkg-query', '--show', name)?.trim().split('\t')[1] ?? 'of unknown version')
    : null;
const line = ({ words }: Command): string => words.join(' ');

const upkeep: Peer = {
  name: 'upkeep',
  floor: false,
  install: '',
  logs: ['plain', 'json', 'raw'],
  stops: true,
  daemons: true,
  patience: 20_000,
  version: ({ upkeep, node }) => output(node('upkeep'), upkeep, '--version')?.trim().split(' ')[1] ?? null,
  plan: ({ tools, dir }, commands, { log, everySecond }) => ({
    words: [
      ...[tools.node('upkeep'), tools.upkeep, 'run', '--socket', join(dir, 'sock')],
      ...(log === 'json' || log === 'raw' ? ['--log', log] : []),
      ...(everySecond ? ['--interval', '1s'] : []),
      ...commands.map((command) => `${command.name}: ${line(command)}`),
    ],
    stop: TERM,
  }),
};

const node: Peer = {
  name: 'bare Node',
  floor: true,
  install: '',
  logs: ['plain'],
  stops: true,
  daemons: false,
  patience: 5_000,
  version: () => process.version.slice(1),
  plan: ({ tools }, commands, { log }) => ({
    words: [
      ...(log === 'plain' ? ['env', 'BENCH_PASS=1'] : []),
      ...[tools.node('bare'), tools.respawnerScript, ...commands.map(line)],
    ],
    stop: TERM,
  }),
};

const c: Peer = {
  name: 'C floor',
  floor: true,
  install: '',
  logs: ['raw'],
  stops: true,
  daemons: false,
  patience: 5_000,
  version: () => output('gcc', '-dumpfullversion')?.trim() ?? null,
  plan: ({ tools }, commands) => ({ words: [tools.respawner, ...commands.map(line)], stop: TERM }),
};

/** A folder of services, as runit and s6 want it: a `run` script each, and one for its log where there is one. */
function serviceFolder(
  dir: string,
  commands: readonly Command[],
  logger: ((folder: string) => string) | null,
): string {
  const folder = join(dir, 'service');
  for (const command of commands) {
    const own = join(folder, command.name);
    script(join(own, 'run'), `exec ${line(command)}`);
    if (logger !== null) script(join(own, 'log', 'run'), `exec ${logger(own)}`);
  }
  return folder;
}

function script(path: string, text: string): void {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

const runit: Peer = {
  name: 'runit',
  floor: false,
  install: 'apt-get install runit',
  logs: ['file'],
  stops: true,
  daemons: false,
  patience: 10_000,
  version: () => debian('runit', '/usr/bin/runsvdir'),
  plan({ dir }, commands, { log }) {
    const logger = (folder: string): string => {
      const to = join(folder, 'main');
      mkdirSync(to, { recursive: true });
      // No rotation: the last line is to be found at the end of one file.
      writeFileSync(join(to, 'config'), 's0\n');
      return `svlogd ${to}`;
    };
    const folder = serviceFolder(dir, commands, log === 'file' ? logger : null);
    return {
      words: ['runsvdir', folder],
      stop: [{ signal: SIGHUP }],
      files: commands.map(({ name }) => join(folder, name, 'main', 'current')),
    };
  },
};

const s6: Peer = {
  name: 's6',
  floor: false,
  install: 'apt-get install s6',
  logs: ['file'],
  stops: true,
  daemons: false,
  patience: 10_000,
  version: () => debian('s6', '/usr/bin/s6-svscan'),
  plan({ dir }, commands, { log }) {
    // As runit's: one file. This is the largest size that it takes.
    const logger = (folder: string): string => `s6-log s268435455 ${join(folder, 'main')}`;
    const folder = serviceFolder(dir, commands, log === 'file' ? logger : null);
    return {
      words: ['s6-svscan', '-c', `${commands.length + 100}`, folder],
      stop: TERM,
      files: commands.map(({ name }) => join(folder, name, 'main', 'current')),
    };
  },
};

const supervisord: Peer = {
  name: 'supervisord',
  floor: false,
  install: 'apt-get install supervisor',
  logs: ['file'],
  stops: true,
  daemons: false,
  patience: 20_000,
  version: () => debian('supervisor', '/usr/bin/supervisord'),
  plan({ dir }, commands, { log }) {
    const path = join(dir, 'supervisord.conf');
    const files = commands.map(({ name }) => join(dir, `${name}.out`));
    const programs = commands.map((command, index) => [
      `[program:${command.name}]`,
      `command=${line(command)}`,
      'autorestart=true',
      ...(log === 'file' ? [`stdout_logfile=${files[index]}`, 'stdout_logfile_maxbytes=0'] : []),
    ]);
    const main = ['[supervisord]', 'nodaemon=true', 'user=root', 'minfds=16384'];
    const places = [
      `logfile=${join(dir, 'supervisord.log')}`,
      `pidfile=${join(dir, 'pid')}`,
      `childlogdir=${dir}`,
    ];
    writeFileSync(path, `${[...main, ...places, ...programs.flat()].join('\n')}\n`);
    return { words: ['supervisord', '-c', path], stop: TERM, files };
  },
};

const monit: Peer = {
  name: 'monit',
  floor: false,
  install: 'apt-get install monit',
  logs: [],
  stops: true,
  daemons: true,
  patience: 20_000,
  version: () => debian('monit', '/usr/bin/monit'),
  plan({ dir }, commands) {
    const path = join(dir, 'monitrc');
    const checks = commands.map((command) => {
      const { name, daemon, pattern } = command;
      const by = daemon === null ? `matching "${pattern}"` : `with pidfile ${daemon.pidFile}`;
      const end = daemon === null ? `/usr/bin/pkill -f ${pattern}` : `/usr/bin/pkill -F ${daemon.pidFile}`;
      // A start program has to return; who stays in the foreground is put into the background by a shell.
      const start = daemon === null ? `/bin/sh -c '${line(command)} &'` : line(command);
      return `check process ${name} ${by}\n  start program = "${start}"\n  stop program = "${end}"`;
    });
    const text = [
      // The shortest that there is; its default is 30 s, Debian's 120 s.
      'set daemon 1',
      `set log ${join(dir, 'monit.log')}`,
      `set pidfile ${join(dir, 'monit.pid')}`,
      `set idfile ${join(dir, 'monit.id')}`,
      `set statefile ${join(dir, 'monit.state')}`,
      `set httpd unixsocket ${join(dir, 'monit.sock')} allow bench:bench`,
      ...checks,
    ];
    writeFileSync(path, `${text.join('\n')}\n`, { mode: 0o600 });
    return {
      words: ['monit', '-I', '-c', path],
      stop: [{ run: ['monit', '-c', path, 'stop', 'all'] }, { wait: 'alone' }, { signal: SIGTERM }],
    };
  },
};

const PM2 = '7.0.4';

const pm2: Peer = {
  name: 'pm2',
  floor: false,
  install: `npm install --prefix node_modules/.cache/bench/pm2 pm2@${PM2}`,
  logs: ['plain'],
  stops: true,
  daemons: false,
  patience: 10_000,
  version({ cache }) {
    const prefix = join(cache, 'pm2');
    const manifest = join(prefix, 'node_modules', 'pm2', 'package.json');
    if (!existsSync(manifest))
      output('npm', 'install', '--prefix', prefix, '--no-audit', '--no-fund', `pm2@${PM2}`);
    return existsSync(manifest) ? PM2 : null;
  },
  plan({ dir, tools }, commands, { log }) {
    const path = join(dir, 'ecosystem.json');
    const none = log === 'none' ? { out_file: '/dev/null', error_file: '/dev/null' } : {};
    const apps = commands.map(({ name, words: [program, ...args] }) => ({
      name,
      script: program,
      args,
      interpreter: 'none',
      ...none,
    }));
    writeFileSync(path, JSON.stringify({ apps }));
    return {
      words: [
        tools.node('pm2'),
        join(tools.cache, 'pm2', 'node_modules', 'pm2', 'bin', 'pm2-runtime'),
        'start',
        path,
      ],
      stop: TERM,
    };
  },
};

/** Where CFEngine keeps everything; in the arena a folder of the arena's is mounted there. */
const CFENGINE = '/var/lib/cfengine3';

const cfengine: Peer = {
  name: 'CFEngine',
  floor: false,
  install: 'apt-get install cfengine3',
  logs: [],
  stops: false,
  daemons: true,
  patience: 75_000,
  version: () => debian('cfengine3', '/usr/bin/cf-execd'),
  plan({ dir, tools }, commands) {
    const own = join(dir, 'cfengine');
    for (const folder of ['inputs', 'state', 'outputs', 'lastseen', 'reports', 'modules', 'plugins']) {
      mkdirSync(join(own, folder), { recursive: true, mode: 0o700 });
    }
    symlinkSync('/usr/bin', join(own, 'bin'));
    cpSync(keysOfCfengine(tools), join(own, 'ppkeys'), { recursive: true });
    writeFileSync(join(own, 'inputs', 'promises.cf'), policyOf(commands), { mode: 0o600 });
    // The first look at once, and then one a minute, as the original does.
    const run = `mount --bind ${own} ${CFENGINE} && /usr/bin/cf-agent -K; exec /usr/bin/cf-execd -F`;
    return { words: ['sh', '-c', run], stop: TERM };
  },
};

/** Made once: it takes longer than a start. */
function keysOfCfengine({ cache }: Tools): string {
  const keys = join(cache, 'cfengine', 'ppkeys');
  if (!existsSync(join(keys, 'localhost.pub'))) {
    mkdirSync(keys, { recursive: true, mode: 0o700 });
    execFileSync(
      'unshare',
      ['--mount', 'sh', '-c', `mount --bind ${join(keys, '..')} ${CFENGINE} && cf-key`],
      { stdio: 'pipe' },
    );
  }
  return keys;
}

function policyOf(commands: readonly Command[]): string {
  const processes = commands.map(({ name, pattern }) => `    "${pattern}" restart_class => "start_${name}";`);
  const starts = commands.map(
    (command) =>
      `    start_${command.name}::\n      "${line(command)} > /dev/null < /dev/null 2>&1 &" contain => in_a_shell;`,
  );
  return `body common control { bundlesequence => { "keep" }; }
body executor control
{
  splaytime => "0";
  schedule => { "any" };
  exec_command => "/usr/bin/cf-agent -K";
}
body contain in_a_shell { useshell => "useshell"; }
bundle agent keep
{
  processes:
${processes.join('\n')}
  commands:
${starts.join('\n')}
}
`;
}

export const PEERS: readonly Peer[] = [upkeep, node, c, runit, s6, supervisord, pm2, monit, cfengine];
