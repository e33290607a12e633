import { expect, test } from 'vitest';
import { scrubEnvironment } from '../../src/process/environment.ts';

const JUNK = [
  'NODE_OPTIONS',
  'NODE_CHANNEL_FD',
  'NODE_CHANNEL_SERIALIZATION_MODE',
  'NODE_UNIQUE_ID',
  'npm_config_registry',
  'npm_lifecycle_event',
  'INIT_CWD',
  'LISTEN_FDS',
  'LISTEN_PID',
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'UPKEEP_NO_NATIVE',
];
const KEPT = [
  'PATH',
  'HOME',
  'NODE_ENV',
  'NODE_PATH',
  'NPM_TOKEN',
  'MY_NODE_OPTIONS',
  'xnpm_a',
  'LISTEN',
  'TZ',
];

test('what was meant for upkeep, Node or npm is left out and named, the rest is kept', () => {
  const env = Object.fromEntries([...JUNK, ...KEPT].map((name) => [name, `of ${name}`]));
  const { env: kept, dropped } = scrubEnvironment(env);
  expect(dropped.toSorted()).toEqual(JUNK.toSorted());
  expect(kept).toEqual(Object.fromEntries(KEPT.map((name) => [name, `of ${name}`])));
  expect(Object.keys(env)).toHaveLength(JUNK.length + KEPT.length);
});
