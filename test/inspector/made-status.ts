import type { CommandStatus } from '../../src/control/status.ts';

/** What is told of a command that runs as it should. */
export function status(name: string, more: Partial<CommandStatus> = {}): CommandStatus {
  return {
    name,
    kind: 'service',
    group: null,
    state: 'running',
    detail: null,
    desired: 'up',
    asWished: true,
    since: new Date(Date.now() - 30_000).toISOString(),
    for: 30_000,
    leader: null,
    ready: null,
    healthy: null,
    starts: 1,
    restarts: 0,
    failures: 0,
    lastExit: null,
    lastOom: null,
    lastCrash: null,
    lastSuccess: null,
    reason: null,
    said: null,
    unhealthySince: null,
    gaveUp: null,
    leftOut: 0,
    waitingFor: [],
    next: null,
    ordered: null,
    left: 0,
    ...more,
  };
}
