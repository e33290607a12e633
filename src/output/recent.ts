/** What services have written last, kept in memory for whoever asks: so many bytes of each, and no line twice. */

export type Source = 'stdout' | 'stderr' | 'file';

export interface RecentLine {
  readonly name: string;
  /** Time of day, ms since 1970, at which its end was read. */
  readonly time: number;
  readonly stream: Source;
  readonly text: string;
}

export interface RecentReader {
  /** What has come since the last call, in the order in which it came. `lost`: how many lines were written over before they
   * could be read, by name. */
  readonly read: () => { readonly lines: RecentLine[]; readonly lost: Readonly<Record<string, number>> };
  /** Those whose last line has no end yet. */
  readonly rest: () => RecentLine[];
  readonly close: () => void;
}

export interface Recent {
  /** Keeps a copy. */
  readonly push: (name: string, chunk: Buffer, stream: Source) => void;
  readonly forget: (name: string) => void;
  /** Reads what is kept, and what comes. @param names null: everybody's, of those who come later as well */
  readonly reader: (names: readonly string[] | null) => RecentReader;
  /** Calls `wake` whenever something is written. @returns ends that */
  readonly follow: (wake: () => void) => () => void;
}

interface Piece {
  /** Position, in all that was ever written by the name, of its first byte, and behind its last one. */
  readonly from: number;
  to: number;
  readonly order: number;
  time: number;
  readonly stream: Source;
}

/** One command's: a ring of bytes, and what stands where. */
interface Store {
  bytes: Buffer;
  /** All that was ever written. */
  written: number;
  pieces: Piece[];
  /** Lines that were written over, of those that somebody may have wanted to read. */
  overwritten: number;
}

/** What is longer is cut, as in the log. */
const LONGEST_LINE = 64 * 1024;
const SMALLEST = 1_024;
/** Pieces of one store: each is a line at least, most often, and takes about as much as a line. */
const MOST_PIECES = 1_024;

/** @param limit bytes that are kept of each */
export function createRecent({
  limit,
  wallClock = Date.now,
}: {
  readonly limit: number;
  readonly wallClock?: () => number;
}): Recent {
  const stores = new Map<string, Store>();
  const followers = new Set<() => void>();
  let readers = 0;
  let order = 0;

  /** Position of the first byte that is still there. */
  const beginOf = (store: Store): number => store.pieces[0]?.from ?? store.written;

  function grow(store: Store, needed: number): void {
    let size = store.bytes.length;
    if (size >= limit || needed <= size) return;
    while (size < needed) size *= 2;
    const larger = Buffer.allocUnsafeSlow(Math.min(size, limit));
    for (const { from, to } of store.pieces) put(larger, from, slice(store, from, to));
    store.bytes = larger;
  }

  function put(bytes: Buffer, at: number, chunk: Buffer): void {
    const offset = at % bytes.length;
    const first = chunk.copy(bytes, offset);
    if (first < chunk.length) chunk.copy(bytes, 0, first);
  }

  function slice({ bytes }: Store, from: number, to: number): Buffer {
    const offset = from % bytes.length;
    const length = to - from;
    const whole = bytes.subarray(offset, offset + length);
    return whole.length === length ? whole : Buffer.concat([whole, bytes.subarray(0, length - whole.length)]);
  }

  /** Makes room in front. */
  function drop(store: Store, until: number): void {
    while (store.pieces.length > 0) {
      const piece = store.pieces[0]!;
      if (piece.from >= until) return;
      const end = Math.min(piece.to, until);
      if (readers > 0) store.overwritten += countLines(slice(store, piece.from, end));
      if (piece.to > until) {
        store.pieces[0] = { ...piece, from: until };
        return;
      }
      store.pieces.shift();
    }
  }

  return {
    push(name, chunk, stream) {
      let store = stores.get(name);
      if (store === undefined) {
        store = {
          bytes: Buffer.allocUnsafeSlow(Math.min(SMALLEST, limit)),
          written: 0,
          pieces: [],
          overwritten: 0,
        };
        stores.set(name, store);
      }
      const time = wallClock();
      const kept = chunk.length > limit ? chunk.subarray(chunk.length - limit) : chunk;
      const skipped = chunk.length - kept.length;
      const to = store.written + chunk.length;
      grow(store, to - beginOf(store));
      drop(store, to - store.bytes.length);
      if (skipped > 0 && readers > 0) store.overwritten += countLines(chunk.subarray(0, skipped));
      const from = store.written + skipped;
      put(store.bytes, from, kept);
      store.written = to;
      const before = store.pieces.at(-1);
      const joins = before !== undefined && before.stream === stream && before.time === time && skipped === 0;
      if (joins && before.order === order) before.to = to;
      else {
        store.pieces.push({ from, to, order: ++order, time, stream });
        if (store.pieces.length > MOST_PIECES) drop(store, store.pieces[1]!.from);
      }
      for (const wake of followers) wake();
    },
    forget: (name) => void stores.delete(name),
    reader(names) {
      readers++;
      interface Place {
        at: number;
        lost: number;
        store: Store;
        readonly open: Map<Source, { text: Buffer[]; time: number }>;
      }
      const places = new Map<string, Place>();

      function placeOf(name: string, store: Store): Place {
        const known = places.get(name);
        if (known !== undefined && known.store === store) return known;
        const place: Place = { at: beginOf(store), lost: store.overwritten, store, open: new Map() };
        // The line it begins in is not whole.
        if (place.at > 0) place.at = behindFirstEnd(store, place.at);
        places.set(name, place);
        return place;
      }

      function behindFirstEnd(store: Store, at: number): number {
        for (const { from, to } of store.pieces) {
          if (to <= at) continue;
          const start = Math.max(from, at);
          const end = slice(store, start, to).indexOf(0x0a);
          if (end >= 0) return start + end + 1;
        }
        return store.written;
      }

      return {
        read() {
          const found: { line: RecentLine; order: number }[] = [];
          const lost: Record<string, number> = {};
          for (const name of names ?? stores.keys()) {
            const store = stores.get(name);
            if (store === undefined) continue;
            const place = placeOf(name, store);
            const begin = beginOf(store);
            if (place.at < begin) {
              lost[name] = Math.max(1, store.overwritten - place.lost);
              place.open.clear();
              place.at = behindFirstEnd(store, begin);
            }
            place.lost = store.overwritten;
            for (const { from, to, order: at, time, stream } of store.pieces) {
              if (to <= place.at) continue;
              for (const text of linesOf(
                place.open,
                slice(store, Math.max(from, place.at), to),
                stream,
                time,
              )) {
                found.push({ line: { name, time, stream, text }, order: at });
              }
              place.at = to;
            }
          }
          found.sort((a, b) => a.order - b.order);
          return { lines: found.map(({ line }) => line), lost };
        },
        rest() {
          return [...places].flatMap(([name, { open }]) =>
            [...open].map(([stream, { text, time }]) => ({
              name,
              time,
              stream,
              text: Buffer.concat(text).toString(),
            })),
          );
        },
        close() {
          readers--;
        },
      };
    },
    follow(wake) {
      followers.add(wake);
      return () => followers.delete(wake);
    },
  };
}

/** The lines that end in what was read; what is behind them stays open. */
function linesOf(
  open: Map<Source, { text: Buffer[]; time: number }>,
  bytes: Buffer,
  stream: Source,
  time: number,
): string[] {
  const lines: string[] = [];
  let from = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, from)) {
    const before = open.get(stream)?.text ?? [];
    const last = bytes.subarray(from, end);
    lines.push((before.length === 0 ? last : Buffer.concat([...before, last])).toString());
    open.delete(stream);
    from = end + 1;
  }
  if (from < bytes.length) {
    // A copy: the ring is written over.
    const text = [...(open.get(stream)?.text ?? []), Buffer.from(bytes.subarray(from))];
    if (text.reduce((sum, { length }) => sum + length, 0) < LONGEST_LINE) open.set(stream, { text, time });
    else {
      lines.push(Buffer.concat(text).toString());
      open.delete(stream);
    }
  }
  return lines;
}

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, at + 1)) count++;
  return count;
}
