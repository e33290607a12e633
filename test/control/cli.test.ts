/** The verbs, asked of an upkeep on paper: what they say, and exit with. */
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runVerb, type Terminal } from '../../src/control/cli.ts';
import type { ControlVerb } from '../../src/policy/options.ts';
import { createInside, type PaperInside } from './inside.ts';
import { Served } from './served.ts';

let inside: PaperInside;
let served: Served;
beforeEach(async () => {
  inside = createInside();
  served = await Served.of(inside);
});
afterEach(() => served.close());

interface Run {
  out: string;
  error: string;
  /** null: it goes on. */
  code: number | null;
}

function run(verb: ControlVerb, ...words: string[]): Run {
  const seen: Run = { out: '', error: '', code: null };
  const terminal: Terminal = {
    env: {},
    size: () => null,
    colour: false,
    out: (text) => {
      seen.out += text;
      return true;
    },
    error: (text) => {
      seen.error += text;
      return true;
    },
  };
  void runVerb(verb, [...words, '--socket', served.path], terminal).then((code) => {
    seen.code = code;
  });
  return seen;
}

test('who follows and has to give way for others is told so, and not that upkeep has ended', async () => {
  inside.note('start', ['web']);
  const following = run('events', '-f');
  await expect.poll(() => following.out).toContain('start web');
  for (let count = 0; count < 32; count++) {
    const client = await served.connect('GET /v1/events?follow HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(client, 'data');
  }
  await expect.poll(() => following.code).toBe(1);
  expect(following.error).toBe(
    'upkeep: cannot show more: it hung up, for too many others follow; write upkeep events -f again\n',
  );
});

test('of a mistake of the other upkeep its words are shown, and not where it was met here', async () => {
  Object.assign(inside, {
    names: () => {
      throw new Error('there is a hole');
    },
  });
  const status = run('status');
  await expect.poll(() => status.code).toBe(70);
  expect(status.error).toBe(
    'upkeep: cannot answer: a mistake in upkeep: there is a hole; please report it\n',
  );
});

test('a number that no event has yet is refused with what to do', async () => {
  const events = run('events', '--since', '99999');
  await expect.poll(() => events.code).toBe(1);
  expect(events.error).toMatch(/^upkeep: cannot go on behind event 99999: .*; ask without since\n$/);
});

test('the last of those behind a number are shown, and no others', async () => {
  for (const name of ['web', 'db', 'web']) inside.note('start', [name]);
  const events = run('events', '--since', '0', '-n', '2', '--json');
  await expect.poll(() => events.code).toBe(0);
  expect(events.out.match(/"number":\d+/g)).toEqual(['"number":2', '"number":3']);
});
