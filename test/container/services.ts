import type { Container, Seen } from './docker.ts';

/** Daemons of Debian that run in a container just so, by their init scripts: what fits the command line of the one
 * process that stands for the service once it is up. */
export const SERVICES: Readonly<Record<string, RegExp>> = {
  apache2: /^\/usr\/sbin\/apache2/,
  atd: /^\/usr\/sbin\/atd/,
  beanstalkd: /^\/usr\/bin\/beanstalkd/,
  cron: /^\/usr\/sbin\/cron/,
  dbus: /^\/usr\/bin\/dbus-daemon/,
  dnsmasq: /^\/usr\/sbin\/dnsmasq/,
  dovecot: /^\/usr\/sbin\/dovecot/,
  exim4: /^\/usr\/sbin\/exim4/,
  haproxy: /^\/usr\/sbin\/haproxy/,
  lighttpd: /^\/usr\/sbin\/lighttpd/,
  mariadb: /^\/bin\/sh \/usr\/bin\/mysqld_safe/,
  memcached: /^\/usr\/bin\/memcached/,
  monit: /^\/usr\/bin\/monit/,
  nginx: /^nginx: master/,
  nmbd: /^\/usr\/sbin\/nmbd/,
  nscd: /^\/usr\/sbin\/nscd/,
  'php8.2-fpm': /^php-fpm: master/,
  postgresql: /^\/usr\/lib\/postgresql\/\d+\/bin\/postgres/,
  privoxy: /^\/usr\/sbin\/privoxy/,
  proftpd: /^proftpd: \(accepting/,
  'redis-server': /^\/usr\/bin\/redis-server/,
  rpcbind: /^\/sbin\/rpcbind/,
  slapd: /^\/usr\/sbin\/slapd/,
  smbd: /^\/usr\/sbin\/smbd/,
  squid: /^\/usr\/sbin\/squid/,
  ssh: /^sshd: \/usr\/sbin\/sshd \[listener\]/,
  supervisor: /^\/usr\/bin\/python3 \/usr\/bin\/supervisord/,
  tinyproxy: /^\/usr\/bin\/tinyproxy/,
  tor: /^\/usr\/bin\/tor/,
  varnish: /^\/usr\/sbin\/varnishd/,
};

/** Who of `all` stands for a service: a child of PID 1, alive, whose command line `pattern` fits. */
export function leaders(all: readonly Seen[], pattern: RegExp): Seen[] {
  return all.filter(({ ppid, state, command }) => ppid === 1 && state !== 'Z' && pattern.test(command));
}

/** Waits until each of these services has exactly one leader, which upkeep takes for it as well, and that is none of
 * `not`. @returns the leaders' pids by service. */
export function up(
  container: Container,
  names: readonly string[],
  { not = [], seconds = 60 }: { not?: readonly number[]; seconds?: number } = {},
): Promise<Record<string, number>> {
  return container.until(
    `${names.join(', ')} up`,
    async () => {
      const all = await container.processes();
      const running = await container.eventsOf('command.running');
      const pids: Record<string, number> = {};
      for (const name of names) {
        const [leader, ...others] = leaders(all, SERVICES[name]!);
        const told = running.filter(({ command }) => command === name).at(-1)?.leader.pid;
        if (leader === undefined || others.length > 0 || told !== leader.pid || not.includes(told)) return;
        pids[name] = leader.pid;
      }
      return pids;
    },
    seconds,
  );
}

/** Samples the process table all the time, until `finish`. */
export function watch(container: Container, names: readonly string[]) {
  const patterns = Object.fromEntries(names.map((name) => [name, SERVICES[name]!.source]));
  return container.insideUntilFinished<{ samples: number; most: Record<string, number> }>(
    'watch',
    JSON.stringify(patterns),
  );
}
