import type { ProcessRow, TableChange } from './table.ts';

/**
 * The rows of a process table and the difference from one scan to the next: what both tables have in common.
 * Rows may be refreshed between two scans, and while one is under way; the next difference is exact all the same.
 */
export class TableBook {
  readonly rows = new Map<number, ProcessRow>();
  /** What the last scan had under each pid whose process `refreshed` has changed since; null: nothing. */
  readonly #before = new Map<number, ProcessRow | null>();
  /** Refreshed since the scan under way began: newer than what that scan has read. */
  readonly #newer = new Set<number>();
  #underWay: Promise<TableChange> | null = null;
  #committed = false;

  /** Runs one scan at a time: a call during a scan gets that scan's promise. */
  scan(work: () => Promise<TableChange>): Promise<TableChange> {
    if (this.#underWay) return this.#underWay;
    this.#newer.clear();
    this.#committed = false;
    const scan = work();
    // A scan that was over at once is not joined by a later call, not even one in the same turn.
    if (!this.#committed) {
      this.#underWay = scan;
      const over = () => {
        if (this.#underWay === scan) this.#underWay = null;
      };
      scan.then(over, over);
    }
    return scan;
  }

  get isScanning(): boolean {
    return this.#underWay !== null;
  }

  /** Takes in one process that was read outside a scan; null: it is gone. */
  refreshed(pid: number, row: ProcessRow | null): void {
    this.#newer.add(pid);
    const old = this.rows.get(pid) ?? null;
    if (old?.startTicks !== row?.startTicks && !this.#before.has(pid)) this.#before.set(pid, old);
    if (row) this.rows.set(pid, row);
    else this.rows.delete(pid);
  }

  /** Takes in what a scan has read, all at once. null: gone; a pid that is not in `found` is as before. */
  commit(at: number, found: ReadonlyMap<number, ProcessRow | null>): TableChange {
    const appeared: ProcessRow[] = [];
    const vanished: ProcessRow[] = [];
    const compare = (pid: number, old: ProcessRow | null) => {
      const row = this.rows.get(pid) ?? null;
      if (old?.startTicks === row?.startTicks) return;
      if (old) vanished.push(old);
      if (row) appeared.push(row);
    };
    for (const [pid, row] of found) {
      // Of what is read at once, nothing can be older than what was refreshed before.
      if (this.isScanning && this.#newer.has(pid)) continue;
      const old = this.rows.get(pid) ?? null;
      if (row) this.rows.set(pid, row);
      else this.rows.delete(pid);
      if (!this.#before.has(pid)) compare(pid, old);
    }
    for (const [pid, old] of this.#before) compare(pid, old);
    this.#before.clear();
    this.#underWay = null;
    this.#committed = true;
    return { at, appeared, vanished };
  }
}
