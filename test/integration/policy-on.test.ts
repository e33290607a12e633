/** Who is told of what: docs/reference/policy-on.md, on real processes. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, type TestContext, test } from 'vitest';
import { type Line, noNamespace } from './namespace.ts';
import { keep } from './policies.ts';

type Handler = (response: ServerResponse, request: IncomingMessage) => void;

/** A receiver of notifications: what it was sent, and how it answers. */
async function receive(context: TestContext, handle: Handler): Promise<{ url: string; bodies: Line[] }> {
  const bodies: Line[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    request.on('error', () => {});
    request.on('end', () => {
      bodies.push(JSON.parse(text));
      handle(response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, bodies };
}

const well: Handler = (response) => response.end('ok');
const isOfHooks = ({ message }: Line): boolean => /notif/.test(message);

describe.skipIf(noNamespace !== null)(
  `notifications (${noNamespace ?? 'in a namespace of their own'})`,
  () => {
    test('a killed service makes a request, with the body of the reference', async (context) => {
      const requests: IncomingMessage[] = [];
      const { url, bodies } = await receive(context, (response, request) => {
        requests.push(request);
        response.end();
      });
      const kept = await keep(
        context,
        `commands: {web: sleep 1000, db: sleep 1001}
on:
  pager:
    events: [died, started]
    commands: web
    webhook: { url: "${url}", headers: { Authorization: Bearer hunter2 } }
    interval: 0
`,
      );
      const [web, db] = await kept.upkeep.running('web', 'db');
      await kept.upkeep.until('the first request', () => bodies.length === 1);
      await kept.inside.end(db!);
      await kept.inside.end(web!);
      const died = await kept.upkeep.until('the news', () => bodies.find(({ on }) => on === 'died') ?? null);
      const { time: _, name: __, seq: ___, message, ...log } = await kept.upkeep.event('command.died', 'web');
      expect(died).toEqual({
        version: 1,
        id: expect.stringMatching(/^.+-\w+-\d+$/),
        hook: 'pager',
        host: expect.any(String),
        on: 'died',
        omitted: 0,
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        command: 'web',
        group: null,
        message,
        log,
      });
      expect(log).toMatchObject({ id: { pid: web }, exit: { signal: 'SIGKILL' } });
      expect(bodies.every(({ command }) => command === 'web')).toBe(true);
      expect(requests[0]!.headers).toMatchObject({
        authorization: 'Bearer hunter2',
        'content-type': 'application/json',
        'user-agent': expect.stringMatching(/^upkeep\//),
      });
      expect(kept.upkeep.text.join('\n')).not.toContain('hunter2');
    });

    test('500, and then 200: it is tried again, and the log has nothing of it', async (context) => {
      let answered = 0;
      const { url, bodies } = await receive(context, (response) => {
        response.writeHead(answered++ === 0 ? 500 : 200).end();
      });
      const { upkeep } = await keep(
        context,
        `commands: {web: sleep 1000}\non: {h: {events: started, webhook: "${url}"}}`,
      );
      await upkeep.until('both tries', () => bodies.length === 2);
      expect(bodies[0]).toEqual(bodies[1]);
      expect(upkeep.events('upkeep.notice').filter(isOfHooks)).toEqual([]);
    });

    test('a server that refuses: a notice says so, and no secret', async (context) => {
      const { url } = await receive(context, (response) => response.writeHead(403).end('hunter2'));
      const { upkeep } = await keep(
        context,
        `commands: {web: sleep 1000}\non: {h: {events: started, webhook: "${url}?key=hunter2"}}`,
      );
      const place = new URL(url).host;
      await upkeep.until('the notice', () => upkeep.events('upkeep.notice').some(isOfHooks));
      expect(upkeep.events('upkeep.notice').find(isOfHooks)!.message).toContain(
        `cannot notify h of started of web: ${place} answered 403; see that it is the right address, and what it wants to be sent`,
      );
      expect(upkeep.text.join('\n')).not.toContain('hunter2');
    });

    test('who hangs while 1,000 die keeps nobody: restarts go on, what waits is bounded, and the end comes', async (context) => {
      const { url, bodies } = await receive(context, () => {});
      const { upkeep, inside } = await keep(
        context,
        `commands:
  loop: { run: sh -c "exit 1", backoff: { first: 1ms, max: 1ms, stable: 0 } }
  web: sleep 1000
on:
  hung: { events: [died, start-failed, started, upkeep.stopping], webhook: "${url}", timeout: 1h }
  slow: { events: [died, start-failed, started], run: sleep 1001, timeout: 1h }
`,
      );
      const [pid] = await upkeep.running('web');
      await upkeep.until('the first request', () => bodies.length === 1);
      const failures = (): number =>
        upkeep.events('command.failedStart', 'loop').length + upkeep.events('command.died', 'loop').length;
      await upkeep.until('1,000 failures', () => failures() >= 1_000);
      await inside.end(pid!);
      await upkeep.event('command.running', 'web', 2);
      // One of each hook is on its way, and no more.
      expect(bodies).toHaveLength(1);
      expect(inside.processes().filter(({ argv }) => argv.join(' ') === 'sleep 1001')).toHaveLength(1);
      const { code, stopped } = await upkeep.stop();
      expect(code).toBe(0);
      expect(stopped).toBeDefined();
      // What waits is bounded: of each command the newest of each kind, and what is on its way.
      const left = upkeep
        .events('upkeep.notice')
        .flatMap(({ message }) => /was not notified of (\d+) events?: /.exec(message)?.[1] ?? [])
        .map(Number);
      expect(left).toHaveLength(2);
      expect(Math.max(...left)).toBeLessThanOrEqual(7);
    });

    test('a command has all on its stdin, and what matters most in variables', async (context) => {
      const kept = await keep(
        context,
        ({ dir }) => `commands: {web: sleep 1000}
on:
  script:
    events: failed
    run: [sh, -c, 'cat >"$1/stdin"; printf "%s\\n" "$UPKEEP_EVENT" "$UPKEEP_COMMAND" "$UPKEEP_HOOK" "$UPKEEP_MESSAGE" "$UPKEEP_OMITTED" >"$1/variables"', sh, ${dir}]
  other:
    events: upkeep.started
    run: echo "$UPKEEP_EVENT$UPKEEP_COMMAND" >${dir}/other
`,
      );
      expect(await kept.written('other')).toEqual(['upkeep.started']);
      kept.rewrite(
        ({ dir }) => `commands: {web: sleep 1000, bad: {run: "false", kind: oneshot}}
on:
  script:
    events: failed
    run: [sh, -c, 'cat >"$1/stdin"; echo >>"$1/stdin"; printf "%s\\n" "$UPKEEP_EVENT" "$UPKEEP_COMMAND" "$UPKEEP_HOOK" "$UPKEEP_MESSAGE" "$UPKEEP_OMITTED" >"$1/variables"', sh, ${dir}]
`,
      );
      const reloaded = await kept.reload();
      expect(reloaded).toMatchObject({ code: 0 });
      expect(reloaded.stdout).toContain('on changed');
      const { message } = await kept.upkeep.event('command.failed', 'bad');
      expect(await kept.written('variables', 5)).toEqual(['failed', 'bad', 'script', message, '0']);
      expect(JSON.parse((await kept.written('stdin'))[0]!)).toMatchObject({
        version: 1,
        on: 'failed',
        command: 'bad',
      });
    });

    test('a command that hangs is killed at its limit, with what it has started', async (context) => {
      const kept = await keep(
        context,
        ({ dir }) => `commands: {web: sleep 1000}
on: {stuck: {events: started, run: "sleep 1001 & echo $$! $$$$ > ${dir}/begun; exec sleep 1002", timeout: 5s}}
`,
      );
      const { upkeep, inside } = kept;
      const pids = (await kept.written('begun'))[0]!.split(' ').map(Number);
      await upkeep.until('the notice', () =>
        upkeep
          .events('upkeep.notice')
          .some(({ message }) =>
            message.includes(
              'cannot notify stuck of started of web: it took longer than 5000 ms and was killed',
            ),
          ),
      );
      await upkeep.until('its end', () => pids.every((pid) => !inside.isAlive(pid)));
      expect(inside.named('sleep')).toHaveLength(1);
    });

    test('a reload changes who is told, and touches no command', async (context) => {
      const { url, bodies } = await receive(context, well);
      const kept = await keep(context, 'commands: {web: sleep 1000}');
      const [pid] = await kept.upkeep.running('web');
      kept.rewrite(
        `commands: {web: sleep 1000}\non: {h: {events: [died, policy.reloaded], webhook: {url: "${url}", body: {text: "{event} {command}: {message}"}}, interval: 0}}`,
      );
      await kept.reload();
      await kept.upkeep.until('the first', () => bodies.length === 1);
      expect(bodies[0]).toEqual({ text: 'policy.reloaded : policy read again: on changed; 1 unchanged' });
      expect(kept.pidOf('web')).toBe(pid);
      await kept.inside.end(pid!);
      const { message } = await kept.upkeep.event('command.died', 'web');
      await kept.upkeep.until('the second', () => bodies.length === 2);
      expect(bodies[1]).toEqual({ text: `died web: ${message}` });
      await kept.upkeep.event('command.running', 'web', 2);
      kept.rewrite('commands: {web: sleep 1000}');
      await kept.reload();
      await kept.inside.end(kept.pidOf('web'));
      await kept.upkeep.event('command.running', 'web', 3);
      await kept.upkeep.stop();
      expect(bodies).toHaveLength(2);
    });

    test('the end of the container is told of, and what comes last as well', async (context) => {
      const { url, bodies } = await receive(context, well);
      const { upkeep } = await keep(
        context,
        `commands: {web: sleep 1000}\non: {h: {events: [upkeep.stopping, stopped, upkeep.stopped], webhook: "${url}", interval: 1h}}`,
      );
      await upkeep.running('web');
      expect((await upkeep.stop()).code).toBe(0);
      // A second is all that there is for them: where it was too short, upkeep says for how many.
      const late = upkeep
        .events('upkeep.notice')
        .map(({ message }) => /h was not notified of (\d+)/.exec(message));
      const lacking = Number(late.find((match) => match !== null)?.[1] ?? 0);
      const all = ['upkeep.stopping', 'stopped', 'upkeep.stopped'];
      expect(bodies.map(({ on }) => on)).toEqual(all.slice(0, bodies.length));
      expect(bodies.length).toBeGreaterThanOrEqual(all.length - lacking);
      for (const { message } of bodies.slice(2)) expect(message).toContain('with exit code 0');
    });
  },
);
