import { describe, expect, test } from 'vitest';
import { HELP, parseRequest } from '../../bench/options.ts';

const parse = (...args: string[]) => parseRequest(args, ['death', 'start'], ['upkeep', 'bare-node']);

describe('the command line', () => {
  test('without anything: everything, written into the docs', () => {
    expect(parse()).toEqual({
      quick: false,
      list: false,
      help: false,
      only: null,
      peers: null,
      upkeep: null,
      out: 'docs/benchmarks',
    });
  });

  test('a part is not written, unless a folder is named', () => {
    expect(parse('--only', 'start,death')).toMatchObject({ only: ['start', 'death'], out: null });
    expect(parse('--peers=upkeep')).toMatchObject({ peers: ['upkeep'], out: null });
    expect(parse('--peers=upkeep', '--out', 'x')).toMatchObject({ out: 'x' });
  });

  test('a quick run does not take the place of a full one', () => {
    expect(parse('--quick')).toMatchObject({ quick: true, out: null });
  });

  test.each([
    [['--only', 'deaths'], 'cannot find the measure "deaths": there are death, start'],
    [['--only', ','], 'cannot find the measure "": there are death, start'],
    [['--peers', 'upkeep,systemd'], 'cannot find the peer "systemd": there are upkeep, bare-node'],
    [['--fast'], 'cannot read the command line:'],
    [['death'], 'cannot read the command line:'],
  ])('%j is refused', (args, message) => expect(() => parse(...args)).toThrow(message));

  test('every option is in the help', () => {
    for (const option of ['only', 'peers', 'quick', 'upkeep', 'out', 'list'])
      expect(HELP).toContain(`--${option}`);
  });
});
