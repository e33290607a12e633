/** Upkeep in a namespace of its own, kept by a policy file. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { inject } from 'vitest';
import { type Cleanup, type Line, Namespace, type Upkeep, type UpkeepOptions } from './namespace.ts';

/** A policy file's text, or what makes it once there is a folder for its programs. */
export type PolicyText = string | ((inside: Namespace) => string);

export interface KeepOptions extends UpkeepOptions {
  /** Commands as arguments beside the policy. */
  readonly commands?: readonly string[];
  /** A namespace that is there, with an init of its own. */
  readonly within?: Namespace;
}

/** How a program ended, and what it wrote. */
export interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Everything has a minute to stop in: who needs it all is not slow, but hangs. */
const LONG_GRACE = ['--grace', '60s'];
const POLICY = 'upkeep.yaml';

/** One upkeep with its policy file. */
export class Kept {
  readonly inside: Namespace;
  readonly upkeep: Upkeep;

  constructor(inside: Namespace, upkeep: Upkeep) {
    this.inside = inside;
    this.upkeep = upkeep;
  }

  /** The path of a file in the folder of the test. */
  at(name: string): string {
    return join(this.inside.dir, name);
  }

  /** Writes another text into the policy file. */
  rewrite(text: PolicyText): void {
    this.inside.write(POLICY, textOf(text, this.inside), 0o644);
  }

  /** What `upkeep reload` comes to at once. */
  reload(...names: string[]): Promise<Answer> {
    return ask(this.inside, ['reload', '--no-wait', '--socket', this.at('sock'), ...names]);
  }

  /** Makes a file that somebody waits for. */
  touch(name: string, text = ''): void {
    this.inside.write(name, text, 0o666);
  }

  has(name: string): boolean {
    return existsSync(this.at(name));
  }

  /** A file's lines; none where there is no file. */
  linesOf(name: string): string[] {
    // Who renames it may do so at any time.
    let text = '';
    try {
      text = readFileSync(this.at(name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return text.split('\n').slice(0, -1);
  }

  /** Waits until a file has so many lines. */
  async written(name: string, count = 1): Promise<string[]> {
    return this.upkeep.until(`${count} lines in ${name}`, () => {
      const lines = this.linesOf(name);
      return lines.length >= count ? lines : null;
    });
  }

  /** Where the first of upkeep's lines of a type, of one command, stands in its log. */
  place(type: string, command: string): number {
    return this.upkeep.lines.findIndex((line) => line.event === type && subjectOf(line) === command);
  }

  /** The pid of the command's latest leader. */
  pidOf(command: string): number {
    return this.upkeep.events('command.running', command).at(-1)!.leader.pid;
  }
}

const subjectOf = (line: Line): string => line.command ?? line.group;

const textOf = (text: PolicyText, inside: Namespace): string =>
  typeof text === 'string' ? text : text(inside);

/** Starts upkeep with this policy, as PID 1 where no namespace is given. */
export async function keep(context: Cleanup, text: PolicyText, options: KeepOptions = {}): Promise<Kept> {
  const { commands = [], args = LONG_GRACE, within, ...rest } = options;
  const inside = within ?? new Namespace(context);
  const path = inside.write(POLICY, textOf(text, inside), 0o644);
  const upkeep = await inside.upkeep(commands, { ...rest, args: [...args, '--policy', path] });
  return new Kept(inside, upkeep);
}

/** Runs the program beside the upkeep that is there, as `docker exec` would. */
export async function ask(inside: Namespace, words: readonly string[]): Promise<Answer> {
  const child = inside.run([process.execPath, inject('upkeep'), ...words]);
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

/** A TCP port that nobody has just now. The namespace has the network of the machine. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
