/** The page in Chromium, with what a real fleet seldom does. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { commandMachine } from '../../machines/command.ts';
import type { Message } from '../../src/inspector/protocol.ts';
import type { Happening } from '../../src/output/journal.ts';
import { status } from '../inspector/made-status.ts';
import { NARROW, openBrowser, screenshot, type Viewer, violationsOf, WIDE } from './browser.ts';
import { actor, type Fake, fakeInspector, hello, moved } from './fake.ts';
import { foreign, hours, thousand } from './scenes.ts';

const folder = join(dirname(inject('upkeep')), 'inspector');
const UP = { running: { ready: 'unchecked' } };
const SUPERVISOR = actor('x:0', 'x:0', undefined, { id: 'supervisor', initial: 'a', states: { a: {} } }, 'a');

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function inspector(
  ...how: Parameters<typeof fakeInspector> extends [string, ...infer R] ? R : never
): Promise<Fake> {
  const fake = await fakeInspector(folder, ...how);
  closing.push(fake.close);
  return fake;
}

async function browser(looks = WIDE): Promise<Viewer> {
  const viewer = await openBrowser(looks);
  closing.push(viewer.close);
  return viewer;
}

function one(): readonly Message[] {
  return [
    hello({ orders: true }),
    SUPERVISOR,
    actor('x:1', 'command:web', 'x:0', commandMachine.config, UP),
    { type: 'upkeep.fleet', at: Date.now(), commands: [status('web')], names: ['web'], groups: [] },
  ];
}

const row = (page: Page, name: string) => page.locator('.fleet .row', { hasText: name });

describe('what is served', () => {
  test('is less than 300 kB compressed', () => {
    const sizes = readdirSync(folder).map((name) => gzipSync(readFileSync(join(folder, name))).length);
    expect(sizes.length).toBeGreaterThan(3);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(300_000);
  });

  test('asks for nothing from elsewhere, in any pane, and keeps to a strict policy', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    await row(page, 'web').waitFor();
    for (const pane of ['timeline', 'messages', 'processes', 'chart']) {
      await page.locator(`.tab-${pane}`).click();
      await page.locator(`#${pane}`).waitFor();
    }
    expect(viewer.troubles()).toEqual([]);
  });

  test('that nothing from elsewhere is asked for would be noticed', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    await page.evaluate(`fetch('http://127.0.0.1:1/elsewhere').catch(() => {})`);
    expect(viewer.troubles().join('\n')).toMatch(/elsewhere/);
  });

  test('draws its first picture within a second', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    await row(page, 'web').waitFor();
    const paint = (await page.evaluate(
      `performance.getEntriesByName('first-contentful-paint')[0]?.startTime`,
    )) as number;
    expect(paint).toBeLessThan(1_000);
  });
});

describe('the token', () => {
  test.each(['?token=secret', '#token=secret'])(
    'of %s goes out of sight, and with each order',
    async (with_) => {
      const fake = await inspector(one);
      const viewer = await browser();
      const page = await viewer.open(fake.url + with_);
      await row(page, 'web').click();
      expect(page.url()).not.toContain('secret');
      await page.getByRole('button', { name: 'Restart' }).click();
      await expect
        .poll(() => fake.orders)
        .toEqual([{ token: 'secret', body: { order: 'restart', command: 'web' } }]);
      await page.getByLabel('Signal').selectOption('SIGUSR1');
      await page.getByRole('button', { name: 'Send' }).click();
      await expect.poll(() => fake.orders.length).toBe(2);
      expect(fake.orders[1]!.body).toEqual({ order: 'signal', command: 'web', signal: 'SIGUSR1' });
      await page.reload();
      await row(page, 'web').waitFor();
    },
  );

  test('is for whom the viewer has chosen: neither the page nor a link chooses', async () => {
    const fake = await inspector(one);
    const viewer = await browser(NARROW);
    const page = await viewer.open(fake.url);
    const stop = page.getByRole('button', { name: 'Stop', exact: true });
    await expect.poll(() => page.url()).toContain('command:web');
    await page.getByText('Try it: choose a command').waitFor();
    expect([await stop.isDisabled(), await page.getByLabel('Signal').isDisabled()]).toEqual([true, true]);
    // It is selected already, and only now chosen.
    await page.locator('.tab-fleet').click();
    await row(page, 'web').click();
    await page.locator('.whom b', { hasText: /^web$/ }).waitFor();
    expect(await stop.isEnabled()).toBe(true);
    await page.locator('.tab-chart').click();
    expect(await stop.isEnabled()).toBe(true);
    await page.evaluate(`location.hash = '#chart/root'`);
    await page.getByText('Try it: choose a command').waitFor();
    expect(await stop.isDisabled()).toBe(true);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(NARROW.width);
  });

  test('without orders there are no buttons for them', async () => {
    const fake = await inspector(() => [hello(), ...one().slice(1)]);
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    await row(page, 'web').click();
    expect(await page.getByRole('button', { name: 'Restart' }).isVisible()).toBe(false);
  });
});

describe('the chart', () => {
  const probing = { running: { ready: 'probing' } };
  const pausing = { running: { ready: 'pausing' } };
  const from = 'command.running.ready.probing';
  const told = (index: number) => ({
    ways: [{ from, event: 'probe.finished', index }],
    actions: ['noteProbe'],
  });

  test('marks the way that was told, not the first of those that lead there', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#chart/command:web`);
    await page.locator('.drawing').waitFor();
    fake.tell(...moved('x:1', 'x', probing), ...moved('x:1', 'probe.finished', pausing, {}, told(3)));
    await page.locator('.drawing text.taken', { hasText: /^probe.finished$/ }).waitFor();
    expect(await page.locator('.drawing text.taken').allTextContents()).toEqual(['probe.finished']);
    expect(await page.locator('.drawing .maybe').count()).toBe(0);
    // And so do the messages.
    await page.locator('.tab-messages').click();
    const message = page.locator('#messages .row', { hasText: 'probe.finished' });
    await message.click();
    const detail = page.locator('#messages .detail');
    await detail.getByText('running.ready.probing: probe.finished → running.ready.pausing').waitFor();
    expect(await detail.textContent()).not.toContain('becomesUnhealthy');
    expect(viewer.troubles()).toEqual([]);
  });

  test('dashes all ways that may have been taken where that was not told', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#chart/command:web`);
    await page.locator('.drawing').waitFor();
    fake.tell(...moved('x:1', 'x', probing), ...moved('x:1', 'probe.finished', pausing));
    await page.locator('.drawing text.maybe', { hasText: 'becomesHealthy' }).waitFor();
    expect(await page.locator('.drawing text.maybe').count()).toBeGreaterThan(1);
    expect(await page.locator('.drawing .taken').count()).toBe(0);
    await page.locator('.tab-messages').click();
    await page.locator('#messages .row', { hasText: 'probe.finished' }).click();
    await page
      .locator('#messages .detail')
      .getByText(/^one of \d ways that lead there/)
      .waitFor();
    expect(await violationsOf(page)).toEqual([]);
  });

  test('has a countdown at the edge of a running delay', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#chart/command:web`);
    await page.locator('.drawing').waitFor();
    const context = { policy: { health: { every: 600_000 } } };
    fake.tell(...moved('x:1', 'x', probing, context), ...moved('x:1', 'probe.finished', pausing, context));
    await page.locator('.edge-due .due-text', { hasText: /^(10|9) min/ }).waitFor();
    await page.locator('.countdown', { hasText: /^after healthInterval in (10|9) min/ }).waitFor();
    fake.tell(...moved('x:1', 'xstate.after.healthInterval.command.running.ready.pausing', probing, context));
    await page.locator('.edge-due').waitFor({ state: 'detached' });
  });

  test.each([
    ['wide', WIDE],
    ['narrow', NARROW],
  ])('keeps the active state clear of what lies over it: %s', async (_, looks) => {
    const fake = await inspector(one);
    const viewer = await browser(looks);
    const page = await viewer.open(`${fake.url}#chart/command:web`);
    await page.locator('.drawing').waitFor();
    for (const value of [
      'backoff',
      { stopping: 'terminating' },
      { restarting: { settling: 'patient' } },
      'scheduled',
      UP,
    ]) {
      fake.tell(...moved('x:1', 'x', value));
      const name = JSON.stringify(value).match(/(\w+)\W*$/)![1]!;
      await page.locator('.drawing .state.leaf .state-name', { hasText: new RegExp(`^${name}$`) }).waitFor();
      await expect
        .poll(async () => {
          const leaf = (await page.locator('.drawing .state.leaf rect').boundingBox())!;
          const frame = (await page.locator('.drawing-frame').boundingBox())!;
          const within =
            leaf.x >= frame.x && leaf.y >= frame.y && leaf.y + leaf.height <= frame.y + frame.height;
          const covered: string[] = within ? [] : ['out of sight'];
          for (const over of ['.chart-status', '.chart > .tools', '.mini']) {
            const box = await page.locator(over).boundingBox();
            if (box === null) continue;
            const isClear =
              box.x >= leaf.x + leaf.width ||
              box.x + box.width <= leaf.x ||
              box.y >= leaf.y + leaf.height ||
              box.y + box.height <= leaf.y;
            if (!isClear) covered.push(over);
          }
          return covered;
        })
        .toEqual([]);
    }
    await page.locator('.chart .tools').getByRole('button', { name: 'Map' }).click();
    expect(await page.locator('.mini').isVisible()).toBe(looks === NARROW);
  });

  test('is the drawing: the active state is lit, and the way that was taken is marked', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#chart/command:web`);
    await page.locator('.drawing').waitFor();
    expect(await page.locator('.drawing .state.leaf .state-name').textContent()).toBe('unchecked');
    fake.tell(...moved('x:1', 'leader.exited', 'backoff'), {
      type: 'upkeep.fleet',
      at: Date.now(),
      commands: [
        status('web', {
          state: 'backoff',
          asWished: false,
          for: 0,
          next: { what: 'retry', in: 8_000, text: 'retry 3' },
        }),
      ],
      names: null,
      groups: null,
    });
    await page.locator('.drawing .state.leaf .state-name', { hasText: 'backoff' }).waitFor();
    expect(await page.locator('.drawing text.taken').allTextContents()).toContain('leader.exited [isOurs]');
    expect(await page.locator('.overlay text').first().textContent()).toBe('wish: up');
    await page.locator('.drawing .due-text', { hasText: /^retry 3 in \d/ }).waitFor();
    // The way of an order is a line of the box.
    fake.tell(...moved('x:1', 'command.stop', { stopping: 'terminating' }));
    await page.locator('.drawing text.note.taken', { hasText: 'command.stop → stopping' }).first().waitFor();
    expect(viewer.troubles()).toEqual([]);
  });

  test('of somebody else’s machines is of cards, even where a name is one of ours', async () => {
    const fake = await inspector(foreign);
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    await page.locator('.card.leaf', { hasText: 'green' }).waitFor();
    expect(await page.locator('.drawing').count()).toBe(0);
    fake.tell(...moved('a:0', 'xstate.after.30000.command.green', 'yellow'));
    await page.locator('.card.leaf', { hasText: 'yellow' }).waitFor();
    expect(await page.locator('.move.taken').allTextContents()).toEqual(['after 30000 → yellow']);
    await row(page, 'player').click();
    await expect.poll(() => page.locator('.card.active').count()).toBe(5);
    await row(page, 'fetch').click();
    await page.getByText('is no machine').waitFor();
    expect(await violationsOf(page)).toEqual([]);
    await row(page, 'player').click();
    await screenshot(page, 'foreign');
    expect(viewer.troubles()).toEqual([]);
  });
});

describe('a thousand commands', () => {
  test('are there, are few elements, and are found', async () => {
    const fake = await inspector(thousand);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#timeline`);
    await row(page, 'worker-0000').waitFor();
    expect(await page.locator('.fleet .row').count()).toBeLessThan(60);
    await page.locator('.fleet .list').evaluate((list) => {
      list.scrollTop = list.scrollHeight;
    });
    await row(page, 'worker-0999').waitFor();
    await page.getByLabel('Search the fleet').fill('0499');
    await row(page, 'worker-0499').waitFor();
    await page.getByText('1 of 1000 commands').waitFor();
    await page.getByLabel('Search the fleet').fill('');
    await page.locator('.chip', { hasText: 'backoff' }).click();
    await page.getByText('10 of 1000 commands').waitFor();
    await screenshot(page, 'thousand');
    expect(viewer.troubles()).toEqual([]);
  });

  test('that all change again and again leave the page at work: it answers in between', async () => {
    const fake = await inspector(thousand);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#timeline`);
    await row(page, 'worker-0000').waitFor();
    for (let round = 0; round < 10; round++) {
      const commands = Array.from({ length: 1_000 }, (_, index) =>
        status(`worker-${String(index).padStart(4, '0')}`, { restarts: round + 1 }),
      );
      fake.tell({ type: 'upkeep.fleet', at: Date.now(), commands, names: null, groups: null });
      for (let index = 1; index <= 1_000; index += 10)
        fake.tell(...moved(`x:${index}`, 'probe.finished', UP));
    }
    await page.locator('.fleet .row', { hasText: '↻10' }).first().waitFor();
    await page.getByLabel('Search the fleet').fill('0007');
    await page.getByText('1 of 1000 commands').waitFor();
  });
});

describe('the timeline', () => {
  test('of hours is drawn, zoomed and told: how long from death to running', async () => {
    const fake = await inspector(() => hours(Date.now()));
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#timeline/command:api`);
    await row(page, 'api').waitFor();
    const tools = page.locator('.timeline .tools');
    await tools.getByRole('button', { name: 'All' }).click();
    await page.locator('.range', { hasText: /^6 h/ }).waitFor();
    await screenshot(page, 'timeline-hours');
    // By keyboard: back to the event before, and what it says.
    await page.locator('.tl-scroll').focus();
    for (let times = 0; times < 9; times++) await page.keyboard.press('+');
    await page.keyboard.press('[');
    const tip = page.locator('.tip');
    await tip.waitFor();
    await expect.poll(() => tip.textContent()).toMatch(/api.*(down for|from death to running|died)/s);
    await tools.getByRole('button', { name: 'Table' }).click();
    await page.locator('tbody tr', { hasText: 'killed by SIGKILL' }).first().waitFor();
    expect(await violationsOf(page)).toEqual([]);
    expect(viewer.troubles()).toEqual([]);
  });

  test('what the pointer was told goes when the time in sight is another', async () => {
    const fake = await inspector(() => hours(Date.now()));
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#timeline/command:api`);
    await row(page, 'api').waitFor();
    await page.locator('.tl-scroll').focus();
    await page.keyboard.press('[');
    await page.locator('.tip').waitFor();
    await page.keyboard.press('+');
    await page.locator('.tip').waitFor({ state: 'hidden' });
  });

  test('has a lane of upkeep’s own: the policy that was read again, and why all stops', async () => {
    const now = Date.now();
    const happenings: readonly Happening[] = [
      { type: 'operator.ordered', at: 0, order: 'reload', commands: [] },
      { type: 'supervisor.stopping', at: 0, reason: 'SIGTERM', budget: 10_000 },
    ];
    const entries = happenings.map((what, index) => ({ number: index + 1, time: now - 9_000 + index, what }));
    const fake = await inspector(() => [...one(), { type: 'upkeep.entries', entries, gone: 0 }]);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#timeline/root`);
    await row(page, 'web').waitFor();
    await page.locator('.tl-scroll').focus();
    await page.keyboard.press(']');
    await page.keyboard.press(']');
    await page.locator('.tip', { hasText: /^upkeep.*stopping everything: SIGTERM/s }).waitFor();
    await page.locator('#timeline').getByRole('button', { name: 'Table' }).click();
    await page.locator('tbody tr', { hasText: /upkeep.*ordered: reload/s }).waitFor();
    await page.locator('tbody tr', { hasText: /upkeep.*stopping everything: SIGTERM/s }).waitFor();
  });

  test('the pointer is told the restart’s time', async () => {
    const now = Date.now();
    const fake = await inspector(() => hours(now));
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#timeline/command:api`);
    await row(page, 'api').waitFor();
    await page.locator('.tl-canvas').waitFor();
    await page.locator('.range', { hasText: /^10 min/ }).waitFor();
    const larger = page.getByRole('button', { name: 'Show less time' });
    for (let times = 0; times < 3; times++) await larger.click();
    const box = (await page.locator('.tl-canvas').boundingBox())!;
    // The lane of api is the fifth one, upkeep's own being the first; somewhere in it the pointer meets a restart.
    const y = box.y + 26 + 4 * 30 + 15;
    let met = false;
    for (let x = box.x + box.width - 20; x > box.x + 170 && !met; x -= 6) {
      await page.mouse.move(x, y);
      met = /from death to running: \d/.test((await page.locator('.tip').textContent()) ?? '');
    }
    expect(met).toBe(true);
    await screenshot(page, 'timeline');
  });
});

describe('a recording', () => {
  const from = 1_795_000_000_000;
  const to = from + 600_000;
  const recorded = (differs: string | null): readonly Message[] => [
    hello({ mode: 'recording', began: from, from, to, at: to, replay: { differs } }),
    ...one().slice(1),
  ];

  test('has a scrubber that asks for a time', async () => {
    const fake = await inspector(
      () => recorded(null),
      (wanted) => (wanted.type === 'seek' ? recorded(null) : []),
    );
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    const slider = page.getByLabel('Time of the recording');
    await slider.waitFor();
    await page.getByText('the machines decide the same again').waitFor();
    await slider.focus();
    await page.keyboard.press('Home');
    await expect
      .poll(() => fake.heard.findLast(({ type }) => type === 'seek'))
      .toEqual({ type: 'seek', at: from });
    await page.locator('.scrubber output', { hasText: '0 ms of 10 min' }).waitFor();
    expect(await violationsOf(page)).toEqual([]);
    expect(viewer.troubles()).toEqual([]);
  });

  test('says where its replay differs', async () => {
    const fake = await inspector(() => recorded('web: backoff, not missing, at event 17'));
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    await page.getByText('The replay differs: web: backoff, not missing, at event 17').waitFor();
  });
});

describe('a recording of which an early time is shown', () => {
  const from = 1_795_000_000_000;
  const to = from + 1_260_000;
  /** It waits for its next try, which is due 30 s after the time that is shown first. */
  const recorded = (at: number): readonly Message[] => [
    hello({ mode: 'recording', began: from, from, to, at, replay: { differs: null } }),
    SUPERVISOR,
    actor('x:1', 'command:web', 'x:0', commandMachine.config, 'backoff'),
    {
      type: 'upkeep.fleet',
      at: from + 46_000,
      commands: [
        status('web', {
          state: 'backoff',
          asWished: false,
          for: 1_000,
          next: { what: 'retry', in: 30_000, text: 'retry 2' },
        }),
      ],
      names: ['web'],
      groups: [],
    },
    {
      type: 'upkeep.entries',
      entries: [{ number: 1, time: from + 45_000, what: { type: 'command.healthy', at: 0, command: 'web' } }],
      gone: 0,
    },
  ];

  test('the timeline is of the recording: all of it at first, then a part that lies inside of it', async () => {
    const fake = await inspector(() => recorded(from + 46_000));
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    const tools = page.locator('#timeline .tools');
    await page.locator('.range', { hasText: /^22 min/ }).waitFor();
    expect(await tools.getByRole('button', { name: 'All' }).getAttribute('aria-pressed')).toBe('true');
    expect(await tools.getByRole('button', { name: 'Now' }).getAttribute('aria-pressed')).toBe('false');
    const canvas = page.locator('.tl-canvas');
    const began = async (): Promise<string> =>
      /from (\S+) to/.exec((await canvas.getAttribute('aria-label')) ?? '')?.[1] ?? '';
    const whole = await began();
    await tools.getByRole('button', { name: 'Now' }).click();
    await tools.getByRole('button', { name: 'Show less time' }).click();
    await page.locator('.range', { hasText: /^11 min/ }).waitFor();
    await expect.poll(began).toBe(whole);
  });

  test('what is due counts down as the time is moved, and is asked for again after the connection was lost', async () => {
    const fake = await inspector(() => recorded(from + 46_000));
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#chart/command:web`);
    const countdown = page.locator('.countdown');
    await countdown.filter({ hasText: 'retry 2 in 30 s' }).waitFor();
    const slider = page.getByLabel('Time of the recording');
    await slider.fill(String(from + 56_000));
    await countdown.filter({ hasText: 'retry 2 in 20 s' }).waitFor();
    await page.locator('.drawing .due-text', { hasText: 'retry 2 in 20 s' }).waitFor();
    const seeks = () => fake.heard.filter(({ type }) => type === 'seek');
    await expect.poll(() => seeks().length).toBe(1);
    fake.drop();
    await expect.poll(seeks).toEqual([
      { type: 'seek', at: from + 56_000 },
      { type: 'seek', at: from + 56_000 },
    ]);
    await page.locator('.scrubber output', { hasText: '56 s of 21 min' }).waitFor();
  });
});

describe('the sequence diagram', () => {
  test('has its names in sight wherever it is scrolled to, and a time beside what has another', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#messages/command:web`);
    await row(page, 'web').waitFor();
    for (let times = 0; times < 60; times++) fake.tell(...moved('x:1', 'probe.finished', UP));
    await page.locator('#messages').getByRole('button', { name: 'Diagram' }).click();
    await expect.poll(() => page.locator('.step').count()).toBe(60);
    const diagram = page.locator('.diagram');
    const name = page.locator('.actor-name', { hasText: /^web$/ });
    for (const end of ['scrollHeight', '0']) {
      await diagram.evaluate((element, to) => {
        element.scrollTop = to === '0' ? 0 : element.scrollHeight;
      }, end);
      const frame = (await diagram.boundingBox())!;
      const box = (await name.boundingBox())!;
      expect(box.y).toBeGreaterThanOrEqual(frame.y);
      expect(box.y + box.height).toBeLessThan(frame.y + 60);
    }
    await page.locator('.actor-name', { hasText: /^upkeep$/ }).waitFor();
    const times = await page.locator('.step-time').allTextContents();
    expect(times.length).toBeGreaterThan(0);
    expect(times[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3}$/);
    for (const [index, time] of times.entries()) expect(time).not.toBe(times[index - 1]);
    expect(await violationsOf(page)).toEqual([]);
  });
});

describe('the connection', () => {
  test('comes back by itself, and says so meanwhile', async () => {
    const fake = await inspector(one);
    const viewer = await browser();
    const page = await viewer.open(`${fake.url}#chart/command:web`);
    await page.locator('.link', { hasText: 'live' }).waitFor();
    fake.drop();
    await page.locator('.link[data-link="lost"], .link[data-link="connecting"]').waitFor();
    await page.locator('.link', { hasText: 'live' }).waitFor();
    expect(await page.locator('.fleet .row', { hasText: 'web' }).count()).toBe(1);
    fake.tell(...moved('x:1', 'leader.exited', 'backoff'));
    await page.locator('.drawing .state.leaf .state-name', { hasText: 'backoff' }).waitFor();
  });
});

describe('who can not use a mouse, or see', () => {
  const PANES = ['chart', 'timeline', 'messages', 'processes'] as const;
  const looks = [
    ['wide, light', WIDE],
    ['wide, dark', { ...WIDE, dark: true }],
    ['narrow, light', NARROW],
    ['narrow, dark', { ...NARROW, dark: true }],
  ] as const;

  test.each(looks)('axe finds nothing: %s', async (name, how) => {
    const fake = await inspector(
      () => [
        ...hours(Date.now()),
        ...moved('x:4', 'command.start', { restarting: 'launching' }, { wait: 3 }),
      ],
      (wanted) =>
        wanted.type === 'processes' && wanted.wanted
          ? [
              {
                type: 'upkeep.processes',
                at: Date.now(),
                processes: [
                  {
                    pid: 1,
                    ppid: 0,
                    name: 'upkeep',
                    state: 'S',
                    argv: ['upkeep', 'run'],
                    since: 0,
                    command: null,
                    part: 'upkeep',
                    because: null,
                  },
                  {
                    pid: 9,
                    ppid: 1,
                    name: 'api',
                    state: 'S',
                    argv: ['api'],
                    since: 0,
                    command: 'api',
                    part: 'leader',
                    because: 'upkeep started it',
                  },
                  {
                    pid: 10,
                    ppid: 1,
                    name: 'db',
                    state: 'Z',
                    argv: [],
                    since: 0,
                    command: 'db',
                    part: 'member',
                    because: null,
                  },
                ],
              },
            ]
          : [],
    );
    const viewer = await browser(how);
    const page = await viewer.open(`${fake.url}#chart/command:api`);
    await page.locator('.drawing').waitFor();
    const panes = how.width < 760 ? (['fleet', ...PANES] as const) : PANES;
    for (const pane of panes) {
      await page.locator(`.tab-${pane}`).click();
      await page.locator(`#${pane}`).waitFor();
      if (pane === 'processes') await page.locator('#processes .row').first().click();
      if (pane === 'messages') await page.locator('#messages .row').first().click();
      expect(await violationsOf(page), pane).toEqual([]);
      // Nothing is wider than the window.
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(how.width);
      await screenshot(page, `${pane}-${name.replace(', ', '-')}`);
    }
    expect(viewer.troubles()).toEqual([]);
  });

  test('everything can be reached by keys', async () => {
    const fake = await inspector(() => [
      ...hours(Date.now()),
      ...moved('x:1', 'leader.exited', { restarting: 'launching' }, { wait: 3 }),
    ]);
    const viewer = await browser();
    const page = await viewer.open(fake.url);
    await row(page, 'db').waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('db');
    // Past the filters to the tree.
    for (let times = 0; times < 20; times++) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate('document.activeElement.getAttribute("role")')) === 'tree') break;
    }
    await page.keyboard.press('End');
    await expect.poll(() => page.url()).toContain('command:db');
    await page.keyboard.press('4');
    await expect.poll(() => page.url()).toContain('#messages');
    await page.getByRole('listbox', { name: 'Messages' }).focus();
    await page.keyboard.press('End');
    await page.locator('#messages .detail').getByText('restarting').first().waitFor();
    await page.keyboard.press('3');
    await expect.poll(() => page.url()).toContain('#timeline');
    await page.keyboard.press('/');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.press('Delete');
    await page.locator('.tl-scroll').focus();
    await page.keyboard.press('ArrowDown');
    await expect.poll(() => page.url()).toContain('command:cache');
    await page.keyboard.press('2');
    await page.locator('.drawing-frame').focus();
    const before = await page.locator('.drawing').getAttribute('viewBox');
    await page.keyboard.press('-');
    await expect.poll(() => page.locator('.drawing').getAttribute('viewBox')).not.toBe(before);
  });
});
