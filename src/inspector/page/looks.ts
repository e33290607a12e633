/** How a state is shown: a colour, a shape, and a pattern, so that no two are told apart by colour alone. Pure. */

export interface Look {
  /** Of the custom property `--KIND` in page.css. */
  readonly kind: Kind;
  /** In a box of 12 × 12. */
  readonly path: string;
  /** How a bar of it is hatched. */
  readonly pattern: 'full' | 'rising' | 'falling' | 'dots' | 'bars' | 'hollow';
}

export type Kind =
  | 'up'
  | 'unwell'
  | 'starting'
  | 'missing'
  | 'backoff'
  | 'stopping'
  | 'stopped'
  | 'failed'
  | 'done'
  | 'waiting'
  | 'scheduled'
  | 'other';

const CIRCLE = 'M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10z';

export const LOOKS: Readonly<Record<Kind, Look>> = {
  up: { kind: 'up', path: CIRCLE, pattern: 'full' },
  unwell: {
    kind: 'unwell',
    path: 'M6 0.8L11.6 11H0.4zM5.4 4.2v3.4h1.2V4.2zM5.4 8.4v1.2h1.2V8.4z',
    pattern: 'bars',
  },
  starting: { kind: 'starting', path: 'M2 1.2L11 6L2 10.8z', pattern: 'dots' },
  missing: {
    kind: 'missing',
    path: 'M6 1a5 5 0 1 0 0 10a5 5 0 1 0 0-10zM6 2.8a3.2 3.2 0 1 1 0 6.4a3.2 3.2 0 1 1 0-6.4z',
    pattern: 'hollow',
  },
  backoff: { kind: 'backoff', path: 'M2 0.8h8v1.8L7.2 6L10 9.4v1.8H2V9.4L4.8 6L2 2.6z', pattern: 'rising' },
  stopping: { kind: 'stopping', path: 'M1.2 2h9.6L6 11z', pattern: 'falling' },
  stopped: { kind: 'stopped', path: 'M1.8 1.8h8.4v8.4H1.8z', pattern: 'full' },
  failed: {
    kind: 'failed',
    path: 'M2.6 1L6 4.4L9.4 1L11 2.6L7.6 6L11 9.4L9.4 11L6 7.6L2.6 11L1 9.4L4.4 6L1 2.6z',
    pattern: 'full',
  },
  done: { kind: 'done', path: 'M1 6.2L2.6 4.6L4.8 6.8L9.4 2L11 3.6L4.8 10z', pattern: 'full' },
  waiting: {
    kind: 'waiting',
    path: 'M0.6 4.6h2.8v2.8H0.6zM4.6 4.6h2.8v2.8H4.6zM8.6 4.6h2.8v2.8H8.6z',
    pattern: 'hollow',
  },
  scheduled: { kind: 'scheduled', path: 'M6 0.8L11.2 6L6 11.2L0.8 6z', pattern: 'dots' },
  other: { kind: 'other', path: 'M6 2.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7z', pattern: 'full' },
};

const BY_STATE: Readonly<Record<string, Kind>> = {
  running: 'up',
  supervising: 'up',
  missing: 'missing',
  restarting: 'starting',
  backoff: 'backoff',
  stopping: 'stopping',
  stopped: 'stopped',
  failed: 'failed',
  completed: 'done',
  waiting: 'waiting',
  scheduled: 'scheduled',
};

/** @param state as in `running.starting` @param detail `unhealthy`, where it is known */
export function lookOf(state: string, detail: string | null = null): Look {
  const [first = '', second] = state.split('.');
  if (first === 'running' && (second === 'starting' || detail === 'not ready')) return LOOKS.starting;
  if (first === 'running' && detail === 'unhealthy') return LOOKS.unwell;
  if (first === 'running' && (second === 'ending' || detail === 'ending')) return LOOKS.stopping;
  return LOOKS[Object.hasOwn(BY_STATE, first) ? BY_STATE[first]! : 'other'];
}

/** What each kind is called in a legend, those that ask for attention first. */
export const KINDS: readonly (readonly [Kind, string])[] = [
  ['failed', 'failed'],
  ['unwell', 'unhealthy'],
  ['missing', 'missing'],
  ['backoff', 'backoff'],
  ['starting', 'starting'],
  ['stopping', 'stopping'],
  ['waiting', 'waiting'],
  ['up', 'running'],
  ['scheduled', 'scheduled'],
  ['done', 'completed'],
  ['stopped', 'stopped'],
  ['other', 'other'],
];
