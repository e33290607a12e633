/** What a policy file costs: upkeep's own, so nobody is beside it. */
import { join } from 'node:path';
import { Arena, sleep } from '../arena.ts';
import { allBorn, nameOf, namesOf, type Policy, plain, withPolicy, write } from '../kept.ts';
import { type Context, figure, type Measure } from '../measure.ts';

const CHECKED = 1_000;
const CHAIN = { length: 10, each: 50 };
const RELOADED = 100;
const GROUP = 10;
const PATIENCE = 60_000;
const SIGHUP = 1;
const SIGKILL = 9;

async function checks({ tools, quick, record, say }: Context): Promise<void> {
  const took: number[] = [];
  const arena = await Arena.open(tools);
  try {
    const path = write(
      arena,
      plain(CHECKED, (name) => ({
        ...(name === nameOf(0) ? {} : { requires: { [nameOf(Number(name.slice(1)) - 2)]: 'started' } }),
        ready: { listening: 8_080, timeout: '5s' },
        env: { NAME: name },
      }))(arena),
    );
    for (let round = 0; round < (quick ? 3 : 15); round++) {
      say(`upkeep check, run ${round + 1}`);
      const { pid, at } = await arena.run([tools.node('upkeep'), tools.upkeep, 'check', path]);
      const exit = await arena.exited(pid, PATIENCE);
      if (exit === null || exit.status !== 0) throw new Error(`upkeep check has ended with ${exit?.status}`);
      took.push((exit.at - at) / 1e6);
    }
  } finally {
    await arena.close();
  }
  record(figure('policy', `check of ${CHECKED}`, 'upkeep', 'ms', took));
}

/** Each is ready after so many ms, and required by the next; one more tells when the last of them is ready. */
async function chains(context: Context): Promise<void> {
  const { quick, record, say } = context;
  const names = namesOf(CHAIN.length + 1);
  const own = CHAIN.length * CHAIN.each;
  for (const interval of [null, '10ms']) {
    const took: number[] = [];
    for (let round = 0; round < (quick ? 2 : 9); round++) {
      say(`chain of ${CHAIN.length}, run ${round + 1}`);
      const make = ({ tools, fifo, dir }: Arena): Policy => ({
        commands: Object.fromEntries(
          names.map((name, index) => {
            const file = join(dir, `${name}.ready`);
            return [
              name,
              {
                run: [tools.svc, 'ready', fifo, name, `${CHAIN.each}`, file],
                ready: { file, ...(interval === null ? {} : { interval }) },
                ...(index === 0 ? {} : { requires: nameOf(index - 1) }),
              },
            ];
          }),
        ),
      });
      took.push(
        await withPolicy(context, make, async (arena, { at }) => ((await allBorn(arena, names)) - at) / 1e6),
      );
    }
    const what = `chain of ${CHAIN.length}${interval === null ? '' : `, asked every ${interval}`}`;
    record(figure('policy', what, 'upkeep', 'ms', took));
    record(figure('policy', what, 'the services alone', 'ms', [own], `${CHAIN.length} × ${CHAIN.each} ms`));
  }
}

async function reloads(context: Context): Promise<void> {
  const { quick, record, say } = context;
  const took = await withPolicy(context, plain(RELOADED), async (arena, upkeep) => {
    await allBorn(arena, namesOf(RELOADED));
    // What settles in the first seconds is no part of it.
    await sleep(2_000);
    const times: number[] = [];
    const changed = new Set<string>();
    for (let round = 0; round < (quick ? 3 : 20); round++) {
      say(`reload of ${RELOADED}, run ${round + 1}`);
      const name = nameOf(round);
      changed.add(name);
      write(
        arena,
        plain(RELOADED, (other) => (changed.has(other) ? { env: { CHANGED: 'yes' } } : {}))(arena),
      );
      const before = arena.births.length;
      const at = await arena.kill(upkeep.pid, SIGHUP);
      times.push(((await allBorn(arena, [name], before)) - at) / 1e6);
      await sleep(1_500);
    }
    return times;
  });
  record(figure('policy', `reload, 1 of ${RELOADED} changed`, 'upkeep', 'ms', took));
}

async function groups(context: Context): Promise<void> {
  const { quick, record, say } = context;
  const names = namesOf(GROUP);
  const make = (arena: Arena): Policy => ({
    ...plain(GROUP)(arena),
    groups: { all: { members: names, strategy: 'one_for_all' } },
  });
  const took = await withPolicy(context, make, async (arena) => {
    await allBorn(arena, names);
    const times: number[] = [];
    for (let round = 0; round < (quick ? 2 : 9); round++) {
      say(`one_for_all of ${GROUP}, run ${round + 1}`);
      // Who has lived this long is started again without a wait.
      await sleep(11_000);
      const before = arena.births.length;
      const at = await arena.kill(arena.latest().get(names[0]!)!.pid, SIGKILL);
      times.push(((await allBorn(arena, names, before)) - at) / 1e6);
    }
    return times;
  });
  record(figure('policy', `one_for_all of ${GROUP}`, 'upkeep', 'ms', took));
}

async function run(context: Context): Promise<void> {
  if (!context.peers.some(({ name }) => name === 'upkeep')) return;
  await checks(context);
  await chains(context);
  await reloads(context);
  await groups(context);
}

export const policy: Measure = {
  name: 'policy',
  title: 'Policy files',
  how: `\`upkeep check\` of ${CHECKED} commands, each of which requires the one before: from fork(2) to its exit. A chain of ${CHAIN.length} services, each ready ${CHAIN.each} ms after its start (a file is there) and required by the next: from the fork(2) of upkeep to the first action of one that requires the last of them, with readiness asked for every 250 ms (the default) and every 10 ms; beside it the sum of what the services themselves take. SIGHUP to a running upkeep with ${RELOADED} commands, of which one has another variable: until its new process's first action. A group of ${GROUP} with \`one_for_all\`: from SIGKILL of one to the first action of the last of all ${GROUP}.`,
  tables: [{ measure: 'policy', title: 'Policy files' }],
  run,
};
