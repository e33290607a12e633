/** The page in Chromium, with a real upkeep and real processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import type { Page } from 'playwright-core';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  type Cleanup,
  freePort,
  Namespace,
  noNamespace,
  type Upkeep,
  until,
} from '../integration/namespace.ts';
import { isPictured, NARROW, openBrowser, screenshot, type Viewer, violationsOf, WIDE } from './browser.ts';

const STAYS = 'exec sleep 100000';
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function browser(looks = WIDE): Promise<Viewer> {
  const viewer = await openBrowser(looks);
  closing.push(viewer.close);
  return viewer;
}

interface Shop {
  readonly inside: Namespace;
  readonly upkeep: Upkeep;
  /** The page's address, with the token. */
  readonly url: string;
}

const POLICY = (inside: Namespace): string => `
commands:
  db: { run: "${STAYS}", ready: { exec: "test -e ${inside.dir}/open", interval: 100ms } }
  cache: { run: "${STAYS}" }
  web: { run: "${inside.install('daemon.sh', 'web')} --double", requires: [db] }
  api: { run: "sleep 0.3; exit 7", backoff: { first: 3s } }
  report: { run: "exit 0", kind: oneshot }
  backup: { run: "${STAYS}", schedule: "30 3 1 1 *" }
groups:
  shop: { members: [db, cache, web], strategy: one_for_one }
`;

/** A fleet of all kinds. */
async function shop(cleanup: Cleanup): Promise<Shop> {
  const inside = new Namespace(cleanup);
  inside.write('open', '', 0o666);
  inside.write('upkeep.yaml', POLICY(inside), 0o644);
  const upkeep = await inside.upkeep([], {
    args: ['--policy', `${inside.dir}/upkeep.yaml`, `--inspect=${await freePort()}`],
  });
  await upkeep.running('db', 'cache', 'web');
  return { inside, upkeep, url: await addressOf(upkeep) };
}

/** Of the page, with the token. */
async function addressOf(upkeep: Upkeep): Promise<string> {
  const message: string = await upkeep.until(
    'the address',
    () =>
      upkeep.events('upkeep.notice').find((told) => /^the inspector is at/.test(told.message))?.message ??
      null,
  );
  return /http:\S+/.exec(message)![0].replace(/[;,]$/, '');
}

const row = (page: Page, name: string) =>
  page.locator('.fleet .row').filter({ has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }) });
const go = (page: Page, pane: string): Promise<void> => page.locator(`.tab-${pane}`).click();
const leaf = (page: Page) => page.locator('.drawing .state.leaf .state-name');

/** The pid of a command's leader, as upkeep has told it last. */
const leaderOf = (upkeep: Upkeep, name: string): number =>
  upkeep.events('command.running', name).at(-1)!.leader.pid;

describe.skipIf(noNamespace)(`a real fleet ${noNamespace ?? ''}`, () => {
  test('is shown by each pane; axe finds nothing, nothing is asked for elsewhere', async (context) => {
    const { url, inside, upkeep } = await shop(context);
    const viewer = await browser();
    const page = await viewer.open(url);
    expect(page.url()).not.toContain('token');
    for (const [name, word] of [
      ['db', 'ready'],
      ['cache', 'running'],
      ['report', 'completed'],
      ['backup', 'scheduled'],
    ] as const) {
      await row(page, name).filter({ hasText: word }).waitFor();
    }
    await row(page, 'shop').filter({ hasText: 'as wished' }).waitFor();
    await row(page, 'api').click();
    await go(page, 'chart');
    await leaf(page).filter({ hasText: 'backoff' }).waitFor();
    await page.locator('.drawing .due-text', { hasText: 'retry' }).waitFor();
    await row(page, 'shop').click();
    await page.locator('.drawing').waitFor();
    await row(page, 'upkeep').click();
    await leaf(page).filter({ hasText: 'supervising' }).waitFor();

    await row(page, 'db').click();
    await go(page, 'messages');
    await inside.end(leaderOf(upkeep, 'db'));
    const message = page.locator('#messages .row', { hasText: 'leader.exited' }).first();
    await message.click();
    const detail = page.locator('#messages .detail');
    await detail.getByText('missing.assessing').first().waitFor();
    await expect.poll(() => detail.textContent()).toMatch(/bury.*tell.*reach/s);
    await expect.poll(() => detail.textContent()).toMatch(/Assigned.*restarts.*0 1/s);
    await expect.poll(() => detail.textContent()).toMatch(/"signal": "SIGKILL"/);
    expect(await violationsOf(page)).toEqual([]);
    await page.locator('#messages').getByRole('button', { name: 'Diagram' }).click();
    await page.locator('.sequence .step-label', { hasText: 'leader.exited' }).first().waitFor();

    await go(page, 'processes');
    const process = page.locator('#processes .row', { hasText: 'leader' });
    await process.filter({ hasText: 'web: ' }).waitFor();
    await page.locator('#processes .row', { hasText: 'upkeep' }).first().waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await go(page, 'timeline');
    await page.locator('#timeline').getByRole('button', { name: 'Table' }).click();
    await page.locator('tbody tr', { hasText: 'killed by SIGKILL' }).first().waitFor();
    expect(viewer.troubles()).toEqual([]);
  });

  test('a kill from outside is seen on chart, timeline and process tree within a second', async (context) => {
    const { url, inside, upkeep } = await shop(context);
    const viewer = await browser();
    const chart = await viewer.open(`${url}`);
    await row(chart, 'cache').click();
    await go(chart, 'chart');
    await leaf(chart).filter({ hasText: 'unchecked' }).waitFor();
    const base = chart.url().split('#')[0]!;
    const token = url.split('#')[1]!;
    const timeline = await viewer.open(`${base}#${token}`);
    await go(timeline, 'timeline');
    await timeline.locator('#timeline').getByRole('button', { name: 'Table' }).click();
    const processes = await viewer.open(`${base}#${token}`);
    await go(processes, 'processes');
    const panes: readonly [string, Page, (pid: number) => Promise<boolean>][] = [
      [
        'processes',
        processes,
        async (pid) => !(await processes.locator('#processes .pid').allTextContents()).includes(String(pid)),
      ],
      [
        'timeline',
        timeline,
        async (pid) =>
          (await timeline.locator('tbody tr', { hasText: `died: pid ${pid} killed by SIGKILL` }).count()) > 0,
      ],
      ['chart', chart, async () => (await leaf(chart).textContent()) !== 'unchecked'],
    ];
    for (const [name, page, isSeen] of panes) {
      // Of some times one has to be: the machine may be busy with something else.
      let best = Number.POSITIVE_INFINITY;
      for (let times = 0; times < 5 && best >= 1_000; times++) {
        await page.bringToFront();
        await leaf(chart).filter({ hasText: 'unchecked' }).waitFor();
        const pid = leaderOf(upkeep, 'cache');
        await processes.locator('#processes .pid', { hasText: new RegExp(`^${pid}$`) }).waitFor();
        const runs = upkeep.events('command.running', 'cache').length;
        const began = performance.now();
        inside.kill(pid, 'SIGKILL');
        await until(`the death, by ${name}`, () => isSeen(pid));
        best = Math.min(best, performance.now() - began);
        await upkeep.event('command.running', 'cache', runs + 1);
      }
      context.annotate(`${name}: ${Math.round(best)} ms`);
      expect(best, name).toBeLessThan(1_000);
    }
    expect(viewer.troubles()).toEqual([]);
  });

  test('an order and a signal from the page are carried out, and watched', async (context) => {
    const { url, upkeep } = await shop(context);
    const viewer = await browser();
    const page = await viewer.open(url);
    await row(page, 'cache').click();
    await go(page, 'chart');
    await page.getByRole('button', { name: 'Stop', exact: true }).click();
    await leaf(page).filter({ hasText: 'stopped' }).waitFor();
    await expect.poll(() => page.locator('.chart-state').textContent()).toContain('wish: down');
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await leaf(page).filter({ hasText: 'unchecked' }).waitFor();
    const before = upkeep.events('command.died', 'cache').length;
    await page.getByLabel('Signal').selectOption('SIGKILL');
    await page.getByRole('button', { name: 'Send' }).click();
    await upkeep.event('command.died', 'cache', before + 1);
    await row(page, 'cache').filter({ hasText: '↻' }).waitFor();
  });

  test('who comes late sees what was; two at once see the same; who was away sees what it has missed', async (context) => {
    const { url, inside, upkeep } = await shop(context);
    await inside.end(leaderOf(upkeep, 'cache'));
    await upkeep.event('command.running', 'cache', 2);
    // Between the page and upkeep, to be cut.
    const port = Number(new URL(url).port);
    const cut = new Set<Socket>();
    let isOpen = true;
    const between = createServer((client) => {
      if (!isOpen) return void client.destroy();
      const server = connect(port, '127.0.0.1');
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        cut.add(from);
        from.on('error', () => {});
        from.on('close', () => {
          cut.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
    await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
    closing.push(async () => {
      for (const socket of cut) socket.destroy();
      between.close();
    });
    const sleeper = await browser();
    const other = await browser(NARROW);
    const away = await sleeper.open(
      url.replace(String(port), String((between.address() as { port: number }).port)),
    );
    const there = await other.open(url);
    const died = (page: Page, count: number): Promise<void> =>
      expect
        .poll(() => page.locator('tbody tr', { hasText: 'cache' }).filter({ hasText: 'died:' }).count())
        .toBe(count);
    for (const page of [away, there]) {
      await go(page, 'timeline');
      const tools = page.locator('#timeline .tools');
      await tools.getByRole('button', { name: 'All' }).click();
      await tools.getByRole('button', { name: 'Table' }).click();
      await died(page, 1);
    }
    isOpen = false;
    for (const socket of cut) socket.destroy();
    await away.locator('.link[data-link="lost"]').waitFor();
    await inside.end(leaderOf(upkeep, 'cache'));
    await died(there, 2);
    expect(await away.locator('.link', { hasText: 'live' }).count()).toBe(0);
    isOpen = true;
    await away.locator('.link', { hasText: 'live' }).waitFor();
    await died(away, 2);
  });

  test('is seen in its recording as it was: while it settled, and at its end', async (context) => {
    const inside = new Namespace(context);
    const upkeep = await inside.upkeep([`web: ${STAYS}`], { args: ['--record', `${inside.dir}/record`] });
    const [web] = await upkeep.running('web');
    await inside.end(web!);
    await upkeep.event('command.running', 'web', 2);
    const timeOf = (event: string): number => Date.parse(upkeep.events(event, 'web')[0]!.time);
    // It settles for a second: in the midst of that it does so in any case.
    const settling = Math.round((timeOf('command.launched') + timeOf('command.running')) / 2);
    expect(await upkeep.stop()).toMatchObject({ code: 0 });
    const shown = spawn(
      process.execPath,
      [inject('upkeep'), 'inspect', '--port', String(await freePort()), `${inside.dir}/record`],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    closing.push(async () => void shown.kill('SIGKILL'));
    let said = '';
    for (const stream of [shown.stdout, shown.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    }
    const url = await until(
      'the address',
      () => /http:\/\/\S+#token=[\w-]+/.exec(said)?.[0] ?? null,
      () => said,
    );
    const viewer = await browser();
    const page = await viewer.open(`${url}&chart/command:web`);
    await page.getByText('the machines decide the same again').waitFor();
    // Right before its end it ran again.
    await row(page, 'web').filter({ hasText: 'running' }).waitFor();
    await page.getByLabel('Time of the recording').fill(String(settling));
    await leaf(page).filter({ hasText: 'patient' }).waitFor();
    await row(page, 'web').filter({ hasText: 'restarting' }).waitFor();
    await go(page, 'messages');
    await page.locator('#messages .row').filter({ hasText: 'launcher.started' }).first().waitFor();
    await go(page, 'chart');
    expect(await page.getByRole('button', { name: 'Restart' }).isVisible()).toBe(false);
    await page.getByLabel('Time of the recording').focus();
    await page.keyboard.press('End');
    await row(page, 'web').filter({ hasText: 'stopped' }).waitFor();
    await page.keyboard.press('Home');
    await page.getByText('no machine of web at this time').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await screenshot(page, 'recording');
    expect(viewer.troubles()).toEqual([]);
  });

  test('tells which way was taken: a health probe that succeeds makes nobody unhealthy; a group’s restart has its time', async (context) => {
    const inside = new Namespace(context);
    inside.write(
      'upkeep.yaml',
      `
commands:
  db: { run: "${STAYS}" }
  web: { run: "${STAYS}", health: { exec: "true", every: 2s } }
groups:
  shop: { members: [db, web], strategy: one_for_all }
`,
      0o644,
    );
    const upkeep = await inside.upkeep([], {
      args: ['--policy', `${inside.dir}/upkeep.yaml`, `--inspect=${await freePort()}`],
    });
    await upkeep.running('db', 'web');
    const viewer = await browser();
    const page = await viewer.open(await addressOf(upkeep));
    await row(page, 'web').click();
    await page.locator('.drawing text.taken', { hasText: /^probe\.finished$/ }).waitFor();
    await page.locator('.edge-due[data-name="after healthInterval"]').waitFor();
    expect(await page.locator('.drawing .maybe').count()).toBe(0);
    await go(page, 'messages');
    await page.locator('#messages .row', { hasText: 'probe.finished' }).first().click();
    const detail = page.locator('#messages .detail');
    await detail.getByText('running.ready.probing: probe.finished → running.ready.pausing').waitFor();
    expect(await detail.textContent()).not.toMatch(/becomes|one of|tell/);

    await inside.end(leaderOf(upkeep, 'db'));
    await upkeep.event('command.running', 'web', 2);
    await row(page, 'web').filter({ hasText: 'running' }).waitFor();
    await go(page, 'timeline');
    const tip = page.locator('.tip');
    await page.locator('.tl-scroll').focus();
    await expect
      .poll(async () => {
        await page.keyboard.press(']');
        return tip.textContent();
      })
      .toMatch(/^web.*from stop to running: \d/s);
    expect(viewer.troubles()).toEqual([]);
  });

  test('says why nobody is let in, and lets in whoever pastes the address', async (context) => {
    const { url } = await shop(context);
    const viewer = await browser();
    const base = url.split('#')[0]!;
    const page = await viewer.open(`${base}#token=wrong&timeline`);
    const why = page.getByRole('alert');
    await why.filter({ hasText: 'the token is missing or wrong' }).waitFor();
    await why.filter({ hasText: 'open the address that upkeep has logged' }).waitFor();
    await page.locator('.link', { hasText: 'not let in' }).waitFor();
    expect(page.url()).not.toContain('wrong');
    expect(await violationsOf(page)).toEqual([]);
    await page.evaluate(`location.href = ${JSON.stringify(url)}`);
    await page.locator('.link', { hasText: 'live' }).waitFor();
    await row(page, 'db').waitFor();
    expect(await why.isVisible()).toBe(false);
    expect(page.url()).not.toContain('token');
    expect(page.url()).toContain('#timeline');

    // Sixteen look already.
    const token = url.split('token=')[1]!;
    const others = Array.from(
      { length: 15 },
      () => new WebSocket(`${base.replace('http', 'ws')}?token=${token}`),
    );
    closing.push(async () => {
      for (const each of others) each.terminate();
    });
    await Promise.all(others.map((each) => once(each, 'open')));
    const late = await viewer.open(url);
    await late.getByRole('alert').filter({ hasText: '16 viewers already; close one of them' }).waitFor();
    others[0]!.close();
    await late.locator('.link', { hasText: 'live' }).waitFor();
    await late.getByRole('alert').waitFor({ state: 'hidden' });
  });

  test('a name that is not ours, and a page from elsewhere, are refused, whatever token they have', async (context) => {
    const { url, upkeep } = await shop(context);
    const { port, host } = new URL(url);
    const token = url.split('token=')[1]!;
    const viewer = await openBrowser(WIDE, ['--host-resolver-rules=MAP evil.test 127.0.0.1']);
    closing.push(viewer.close);
    // Whoever lets a name of his point here is told nothing: neither the page, nor what it shows.
    const page = await viewer.context.newPage();
    const answer = await page.goto(`http://evil.test:${port}/`);
    expect(answer!.status()).toBe(421);
    expect(await page.content()).toContain('known by its IP address, or as localhost');

    const elsewhere = createHttpServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>evil</title>');
    });
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    closing.push(async () => void elsewhere.close());
    await page.goto(`http://127.0.0.1:${(elsewhere.address() as { port: number }).port}/`);
    // As texts: they are run over there.
    const order = { method: 'POST', body: '{"order":"stop","command":"cache"}' };
    const own = { 'x-upkeep-token': token, 'content-type': 'application/json' };
    const socket = (path: string): string =>
      `new Promise((resolve) => {
        const socket = new WebSocket('ws://${host}${path}');
        socket.onopen = () => resolve('open');
        socket.onerror = () => resolve('refused');
      })`;
    const read = (path: string, how: RequestInit, what: string): string =>
      `fetch('http://${host}${path}', ${JSON.stringify(how)}).then(async (answer) => ${what}, () => 'refused')`;
    const tried: unknown[] = [];
    for (const text of [
      socket(`/ws?token=${token}`),
      socket(`/?token=${token}`),
      read('/', {}, 'answer.text()'),
      read(`/ws?token=${token}`, {}, 'answer.text()'),
      read('/order', { ...order, headers: own }, 'answer.text()'),
      // What needs no leave is sent, and nobody may read the answer: it is that there is no token.
      read('/order', { ...order, mode: 'no-cors' }, 'answer.text()'),
    ]) {
      tried.push(await page.evaluate(text));
    }
    expect(tried).toEqual([
      'refused',
      'refused',
      'refused',
      'refused',
      'refused',
      expect.stringMatching(/^(refused)?$/),
    ]);

    // Nor is a wrong token, or none, of any use to the page itself.
    await page.goto(`http://${host}/`);
    const others: unknown[] = [];
    for (const text of [
      socket('/ws'),
      socket('/ws?token=wrong'),
      socket(`/ws?token=${token}`),
      read('/order', { ...order, headers: { ...own, 'x-upkeep-token': '' } }, 'answer.status'),
      read('/order', { ...order, headers: { ...own, 'x-upkeep-token': 'wrong' } }, 'answer.status'),
    ]) {
      others.push(await page.evaluate(text));
    }
    expect(others).toEqual(['refused', 'refused', 'open', 401, 401]);
    expect(upkeep.events('operator.ordered')).toEqual([]);
    expect(upkeep.events('command.stopping')).toEqual([]);
  });

  test('of a thousand commands is there, is searched, and shows what befalls one of them', async (context) => {
    const inside = new Namespace(context);
    const names = Array.from({ length: 1_000 }, (_, index) => `c${index}`);
    const upkeep = await inside.upkeep(
      names.map((name) => `${name}: sleep 100000`),
      { args: [`--inspect=${await freePort()}`] },
    );
    const viewer = await browser();
    const page = await viewer.open(await addressOf(upkeep));
    await page.locator('.fleet .row', { hasText: '1000 as wished' }).waitFor({ timeout: 240_000 });
    expect(await page.locator('.fleet .row').count()).toBeLessThan(60);
    await page.getByLabel('Search the fleet').fill('c500');
    await page.getByText('1 of 1000 commands').waitFor();
    await row(page, 'c500').click();
    await leaf(page).filter({ hasText: 'unchecked' }).waitFor();
    const [pid] = await upkeep.running('c500');
    await inside.end(pid!);
    await row(page, 'c500').filter({ hasText: '↻1' }).waitFor();
    await go(page, 'timeline');
    await page.locator('#timeline').getByRole('button', { name: 'Table' }).click();
    await page.locator('tbody tr', { hasText: `died: pid ${pid} killed by SIGKILL` }).waitFor();
    await go(page, 'processes');
    await page.getByLabel('Filter processes').fill('c500');
    await page.locator('#processes .row', { hasText: 'c500: ' }).first().waitFor();
    await screenshot(page, 'fleet-thousand');
    expect(viewer.troubles()).toEqual([]);
    expect(await upkeep.stop()).toMatchObject({ code: 0, stopped: { left: 0 } });
  });

  test('is a picture: light and dark, wide and narrow', async (context) => {
    const { url, inside, upkeep } = await shop(context);
    for (const [name, looks] of [
      ['light', WIDE],
      ['dark', { ...WIDE, dark: true }],
      ['narrow', NARROW],
    ] as const) {
      const viewer = await browser(looks);
      const page = await viewer.open(`${url}&chart/command:api`);
      const starts = upkeep.events('command.running', 'web').length;
      await inside.end(leaderOf(upkeep, 'web'));
      await upkeep.event('command.running', 'web', starts + 1);
      // Pictures are of some interest only when something has happened.
      if (isPictured) await upkeep.event('command.failedStart', 'api', name === 'light' ? 4 : 5);
      for (const pane of ['timeline', 'messages', 'processes', 'chart']) {
        await go(page, pane);
        await page.locator(`#${pane}`).waitFor();
        if (pane === 'messages')
          await page.locator('#messages').getByRole('button', { name: 'Diagram' }).click();
        if (pane === 'processes') await page.locator('#processes .row').first().waitFor();
        if (pane === 'chart') await page.locator('.drawing').waitFor();
        await screenshot(page, `fleet-${pane}-${name}`);
      }
      expect(viewer.troubles()).toEqual([]);
    }
  });
});
