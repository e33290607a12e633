// What the tests run inside a container, where a call of `docker exec` for each look would be too slow. Prints JSON.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { get } from 'node:http';

function processOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const [state, ppid, , session, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim();
    const comm = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    return { pid, ppid: Number(ppid), session: Number(session), state, start: rest[15], comm, command };
  } catch {
    return null; // it ended meanwhile
  }
}

const table = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map((name) => processOf(Number(name)))
    .filter((seen) => seen !== null);

const userOf = (pid) =>
  Number(/^Uid:\s+\d+\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const leadersOf = (all, pattern) =>
  all.filter(({ ppid, state, command }) => ppid === 1 && state !== 'Z' && pattern.test(command));

const isThere = ({ pid, start }) => {
  const now = processOf(pid);
  return now !== null && now.start === start && now.state !== 'Z';
};

const answers = (port) =>
  new Promise((resolve) => {
    const request = get({ host: '127.0.0.1', port, timeout: 200, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(true));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });

const verbs = {
  /** Who is there. */
  processes: () =>
    table().flatMap((seen) => {
      try {
        return [{ ...seen, uid: userOf(seen.pid) }];
      } catch {
        return [];
      }
    }),

  /** Runs a shell command that ends a web server's leader, and tells for how many ms it was away: from the leader's death
   * until a new one answers, with nobody of the old ones left. */
  async outage(port, leader, command) {
    const pattern = new RegExp(leader);
    const [old] = leadersOf(table(), pattern);
    const isOld = (seen) => seen.pid === old.pid && seen.start === old.start && seen.state !== 'Z';
    const action = spawn('/bin/sh', ['-c', command.replaceAll('LEADER', old.pid)], { stdio: 'ignore' });
    const over = new Promise((resolve) => action.on('exit', resolve));
    let died = null;
    for (const from = performance.now(); performance.now() - from < 60_000; await sleep(5)) {
      const all = table();
      if (all.some(isOld)) continue;
      died ??= performance.now();
      const [now, ...others] = leadersOf(all, pattern);
      if (now === undefined || others.length > 0) continue;
      if (!(await answers(Number(port)))) continue;
      const away = Math.round(performance.now() - died);
      await over;
      return { old: old.pid, now: now.pid, away };
    }
    return { old: old.pid, now: null, away: null };
  },

  /** Until stdin ends: how many leaders of each service there were at most at one moment. What was once seen below a
   * leader is a worker, also when it is orphaned later. */
  async watch(services) {
    const patterns = Object.entries(JSON.parse(services)).map(([name, text]) => [name, new RegExp(text)]);
    const most = Object.fromEntries(patterns.map(([name]) => [name, 0]));
    const workers = new Set();
    const key = ({ pid, start }) => `${pid} ${start}`;
    let samples = 0;
    let open = true;
    process.stdin.on('end', () => {
      open = false;
    });
    process.stdin.resume();
    for (; open; await sleep(10)) {
      const all = table();
      samples++;
      for (const [name, pattern] of patterns) {
        const leaders = leadersOf(all, pattern).filter((seen) => !workers.has(key(seen)));
        const pids = new Set(leaders.map(({ pid }) => pid));
        for (const seen of all) if (pids.has(seen.ppid)) workers.add(key(seen));
        // The table is read one by one: of two, the first may have ended before the second began.
        const there = leaders.length > 1 ? leaders.filter(isThere) : leaders;
        most[name] = Math.max(most[name], there.length);
      }
    }
    return { samples, most };
  },

  /** Kills `pid` while it holds every process that the container may have, and what becomes free as well, until stdin
   * ends. Whoever is started in its place all the same is killed as well. */
  async exhaust(pid) {
    const taken = [];
    let refused = false;
    const take = () => {
      for (refused = false; !refused; ) {
        const child = spawn('/bin/sleep', ['1000'], { stdio: 'ignore' });
        child.on('error', () => {});
        if (child.pid === undefined) refused = true;
        else taken.push(child);
      }
    };
    let open = true;
    process.stdin.on('end', () => {
      open = false;
    });
    process.stdin.resume();
    const { comm } = processOf(pid);
    take();
    process.kill(Number(pid), 'SIGKILL');
    for (; open; await sleep(2)) {
      take();
      for (const seen of table()) {
        if (seen.ppid === 1 && seen.comm === comm && seen.state !== 'Z') process.kill(seen.pid, 'SIGKILL');
      }
    }
    for (const child of taken) child.kill('SIGKILL');
    return { taken: taken.length };
  },
};

const [, verb, ...args] = process.argv;
console.log(JSON.stringify(await verbs[verb](...args)));
process.exit(0);
