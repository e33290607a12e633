/** Upkeep with a policy file, where nobody is beside it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Arena } from './arena.ts';
import type { Context } from './measure.ts';

const PATIENCE = 60_000;

export const nameOf = (index: number): string => `s${`${index + 1}`.padStart(4, '0')}`;
export const namesOf = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => nameOf(index));

export interface Policy {
  readonly commands: Readonly<Record<string, unknown>>;
  readonly groups?: Readonly<Record<string, unknown>>;
}

/** JSON is YAML. */
export function write(arena: Arena, policy: Policy): string {
  const path = join(arena.dir, 'upkeep.yaml');
  writeFileSync(path, JSON.stringify(policy));
  return path;
}

export const socketOf = ({ dir }: Arena): string => join(dir, 'sock');

/** Has upkeep run a policy, and does something with it. */
export async function withPolicy<T>(
  { tools }: Context,
  make: (arena: Arena) => Policy,
  use: (arena: Arena, upkeep: { readonly pid: number; readonly at: number }) => Promise<T>,
  options: readonly string[] = [],
): Promise<T> {
  const arena = await Arena.open(tools);
  try {
    const path = write(arena, make(arena));
    const words = [tools.node('upkeep'), tools.upkeep, 'run', '--socket', socketOf(arena), ...options];
    return await use(arena, await arena.run([...words, '--policy', path], join(arena.dir, 'said')));
  } finally {
    await arena.close();
  }
}

export const plain =
  (count: number, more: (name: string) => object = () => ({})) =>
  ({ tools, fifo }: Arena): Policy => ({
    commands: Object.fromEntries(
      namesOf(count).map((name) => [name, { run: [tools.svc, 'run', fifo, name], ...more(name) }]),
    ),
  });

/** @throws Error where not all have been born in time */
export async function allBorn(arena: Arena, names: readonly string[], from = 0): Promise<number> {
  const at = await arena.heard(PATIENCE, () => {
    const born = new Map(arena.births.slice(from).map((birth) => [birth.name, birth.at]));
    return names.every((name) => born.has(name)) ? Math.max(...names.map((name) => born.get(name)!)) : null;
  });
  if (at === null) throw new Error(`not all of ${names.length} commands were started in ${PATIENCE} ms`);
  return at;
}
