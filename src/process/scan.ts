/**
 * One shared look at the process table for all commands: at an interval, and whenever the kernel has news. What
 * comes out are edges.
 */
import {
  concat,
  defer,
  EMPTY,
  exhaustMap,
  filter,
  interval,
  merge,
  type Observable,
  of,
  repeat,
  Subject,
  tap,
} from 'rxjs';
import type { ScanReport } from '../../machines/events.ts';
import type { Lineage } from './lineage.ts';
import type { ProcessRow, ProcessTable, TableChange } from './table.ts';

export interface ScanOptions {
  readonly table: ProcessTable;
  readonly lineage: Lineage;
  /** Something has happened: look now. */
  readonly news: Observable<unknown>;
  /** ms between looks when there is no news. */
  readonly interval: number;
  /** Called at every interval, before the look. */
  readonly onInterval: () => void;
  /** The kernel tells of the deaths that matter. */
  readonly reaping: boolean;
  /** Take over what already runs and only its name tells. */
  readonly adopt: boolean;
  /** Monotonic ms. */
  readonly now: () => number;
  /** Called after each look, with who is whose up to date and before anybody is told; null: it was the first one. */
  readonly afterLook: (look: Pick<TableChange, 'at' | 'unlisted'> | null) => void;
  readonly notice: (command: string | null, message: string) => void;
}

/** How soon a look follows another while something is awaited that the kernel does not tell of, ms. */
const ATTENTIVE_FIRST = 10;
const ATTENTIVE_LAST = 250;
/** Between the two looks that must agree before a name decides, ms. */
const SECOND_LOOK = 100;
/** How often, ms, everybody is listed though nobody asks for it: who is nobody's leaves the table without a word. */
const LISTING = 60_000;

/** Never ends and never fails: a scan that fails is told of, and changes nothing. */
export function scanProcesses(options: ScanOptions): Observable<ScanReport> {
  return concat(
    defer(() => begin(options)),
    watch(options),
  );
}

async function begin(options: ScanOptions): Promise<ScanReport> {
  const { table, lineage } = options;
  for (let failures = 0; ; failures++) {
    try {
      await table.scan();
      break;
    } catch (error) {
      // Nothing may be started unseen: it could be there already.
      if (failures === 0) options.notice(null, (error as Error).message);
      await new Promise((resolve) => setTimeout(resolve, Math.min(5_000, 100 * 2 ** failures)));
    }
  }
  lineage.adopt();
  const forgotten = lineage.forgotten();
  if (forgotten.length > 0) {
    options.notice(
      null,
      `pid ${forgotten.join(', ')}: started by this upkeep for a command that it is not given any more; left alone. End what is not needed, or give the command again`,
    );
  }
  if (options.adopt) await adoptByName(options);
  options.afterLook(null);
  return { type: 'scan.began', at: options.now(), found: lineage.leaders() };
}

/** Two looks must agree: a name may be that of a child which has not yet become another program. */
async function adoptByName({ table, lineage, notice }: ScanOptions): Promise<void> {
  const first = lineage.candidatesByName();
  if (first.size === 0) return;
  await new Promise((resolve) => setTimeout(resolve, SECOND_LOOK));
  await table.scan().catch(() => {});
  const second = lineage.candidatesByName();
  const claims = new Map<number, string[]>();
  for (const [command, rows] of second) {
    for (const { pid } of rows) claims.set(pid, [...(claims.get(pid) ?? []), command]);
  }
  for (const [command, rows] of second) {
    const before = first.get(command) ?? [];
    const row = rows[0]!;
    const rivals = claims.get(row.pid)!.filter((other) => other !== command);
    if (rows.length > 1) {
      notice(
        command,
        `cannot tell which process is it: ${rows.map(({ pid }) => pid).join(', ')} all go by its name; none is adopted. End them, or use --no-adopt to start it beside them`,
      );
    } else if (rivals.length > 0) {
      notice(
        command,
        `cannot tell whose process ${row.pid} is: ${rivals.join(', ')} would match as well; none adopts it. End it, or use --no-adopt`,
      );
    } else if (before.some((other) => isSame(other, row))) {
      lineage.adoptByName(command, row);
    }
  }
}

function isSame(a: ProcessRow, b: ProcessRow): boolean {
  return a.pid === b.pid && a.startTicks === b.startTicks;
}

function watch(options: ScanOptions): Observable<ScanReport> {
  const { lineage } = options;
  const soon = new Subject<void>();
  let asked = false;
  let patience = ATTENTIVE_FIRST;
  let timer: NodeJS.Timeout | null = null;

  /** While something is awaited that nobody tells of, looks follow each other, ever more slowly. */
  function attend(eventful: boolean): void {
    if (eventful || !lineage.isAttentive()) patience = ATTENTIVE_FIRST;
    if (timer !== null || !lineage.isAttentive()) return;
    timer = setTimeout(() => {
      timer = null;
      soon.next();
    }, patience);
    patience = Math.min(ATTENTIVE_LAST, patience * 1.5);
  }

  const look = createLook(options);
  return merge(of(null), interval(options.interval).pipe(tap(options.onInterval)), options.news, soon).pipe(
    tap(() => {
      asked = true;
    }),
    exhaustMap(() =>
      defer(() => {
        asked = false;
        const looked = look();
        return looked instanceof Promise ? looked : of(looked);
      }).pipe(
        tap(({ facts }) => {
          attend(facts.length > 0);
          // Not in this turn of the event loop: what would settle it may be an event that waits its turn.
          if (lineage.isUnsure()) setImmediate(() => soon.next());
        }),
        // Asked for during a look, it is taken again: what it was asked for may have come too late for this one.
        repeat({ delay: () => (asked ? of(null) : EMPTY) }),
      ),
    ),
    filter(({ facts }) => facts.length > 0),
  );
}

type Look = Extract<ScanReport, { type: 'scan.changed' }>;

/** Answers at once where nobody has to be listed: whatever follows from a death then follows without a detour. */
function createLook(options: ScanOptions): () => Look | Promise<Look> {
  const { table, lineage, now, afterLook, notice } = options;
  let broken = false;
  let listedAt = now();

  function conclude(change: TableChange): Look {
    const facts = lineage.digest(change);
    afterLook(change);
    return { type: 'scan.changed', at: now(), facts };
  }

  async function list(): Promise<Look> {
    let change: TableChange = { at: now(), appeared: [], vanished: [], unread: true };
    try {
      change = await table.scan();
      listedAt = change.at;
      broken = false;
    } catch (error) {
      // What the kernel told of is true all the same; of the rest nothing is known, and for now nothing concluded.
      if (!broken) notice(null, `${(error as Error).message}; nothing is concluded until it can be read`);
      broken = true;
    }
    return conclude(change);
  }

  return () => {
    // What has to be seen gone, though nobody tells, is seen in a list alone.
    const whole = !options.reaping || lineage.isAttentive() || now() - listedAt >= LISTING;
    const change = whole ? null : table.newcomers();
    return change === null ? list() : conclude(change);
  };
}
