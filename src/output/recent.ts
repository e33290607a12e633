/** What services have written last, kept in memory for whoever asks: so many bytes of each, and no line twice. */

export type Source = 'stdout' | 'stderr' | 'file' | 'syslog';

export interface RecentLine {
  readonly name: string;
  /** Time of day, ms since 1970, at which its end was read. */
  readonly time: number;
  readonly stream: Source;
  readonly text: string;
}

/** `lost`: how many lines were written over before they could be read, by name. `more`: there is more to be read now. */
export interface RecentRead {
  readonly lines: RecentLine[];
  readonly lost: Readonly<Record<string, number>>;
  readonly more: boolean;
}

export interface RecentReader {
  /** What has come since the last call, in the order in which it came. @param most bytes that are read, about */
  readonly read: (most?: number) => RecentRead;
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
  readonly store: Store;
  /** Position, in all that was ever written by the name, of its first byte, and behind its last one. */
  from: number;
  to: number;
  /** Among all pieces of all names. */
  readonly order: number;
  readonly time: number;
  readonly stream: Source;
  /** None of it is kept any more. */
  isGone: boolean;
}

/** One command's: a ring of bytes, and what stands where. */
interface Store {
  readonly name: string;
  bytes: Buffer;
  /** All that was ever written. */
  written: number;
  readonly pieces: Piece[];
  /** Streams of which the first byte that is kept is not the first one of its line. */
  readonly cut: Set<Source>;
  /** How far each reader is. */
  readonly places: Set<Place>;
}

interface Place {
  at: number;
  lost: number;
  /** Lines whose end has not been read yet. */
  readonly open: Map<Source, { text: Buffer[]; time: number }>;
  /** Streams of which the rest of a line has to be left out, and whether that line counts as lost. */
  readonly skip: Map<Source, boolean>;
}

/** What is longer is cut, as in the log. */
const LONGEST_LINE = 64 * 1024;
const SMALLEST = 1_024;
/** Pieces of one store: each is a line at least, most often, and takes about as much as a line. */
const MOST_PIECES = 1_024;
const END = 0x0a;

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
  const newcomers = new Set<(store: Store) => void>();
  /** Everybody's, in the order in which they came. */
  let all: Piece[] = [];
  let gone = 0;
  let order = 0;

  function grow(store: Store, needed: number): void {
    let size = store.bytes.length;
    if (size >= limit || needed <= size) return;
    while (size < needed) size *= 2;
    const larger = Buffer.allocUnsafeSlow(Math.min(size, limit));
    for (const { from, to } of store.pieces) put(larger, from, slice(store, from, to));
    store.bytes = larger;
  }

  /** Makes room in front. */
  function drop(store: Store, until: number): void {
    for (let piece = store.pieces[0]; piece !== undefined && piece.from < until; piece = store.pieces[0]) {
      const end = Math.min(piece.to, until);
      lose(store, piece.from, slice(store, piece.from, end), piece.stream);
      piece.from = end;
      if (end < piece.to) return;
      piece.isGone = true;
      gone++;
      store.pieces.shift();
    }
    if (gone > MOST_PIECES && gone > all.length / 2) sweep();
  }

  function sweep(): void {
    all = all.filter(({ isGone }) => !isGone);
    gone = 0;
  }

  /** These bytes are kept no more: what a reader has not read of them is lost to it. */
  function lose({ cut, places }: Store, from: number, bytes: Buffer, stream: Source): void {
    const isCut = bytes.at(-1) !== END;
    if (isCut) cut.add(stream);
    else cut.delete(stream);
    for (const place of places) {
      const unread = Math.max(0, place.at - from);
      if (unread >= bytes.length) continue;
      const lost = countLines(bytes.subarray(unread));
      // The rest of a line that was to be left out uncounted.
      const uncounted = lost > 0 && place.skip.get(stream) === false ? 1 : 0;
      place.lost += lost - uncounted;
      place.at = from + bytes.length;
      place.open.delete(stream);
      if (!isCut) place.skip.delete(stream);
      else if (lost > 0 || !place.skip.has(stream)) place.skip.set(stream, true);
    }
  }

  function storeOf(name: string): Store {
    const known = stores.get(name);
    if (known !== undefined) return known;
    const bytes = Buffer.allocUnsafeSlow(Math.min(SMALLEST, limit));
    const store: Store = { name, bytes, written: 0, pieces: [], cut: new Set(), places: new Set() };
    stores.set(name, store);
    for (const meet of newcomers) meet(store);
    return store;
  }

  return {
    push(name, chunk, stream) {
      if (chunk.length === 0) return;
      const store = storeOf(name);
      const time = wallClock();
      const kept = chunk.length > limit ? chunk.subarray(chunk.length - limit) : chunk;
      const skipped = chunk.length - kept.length;
      const to = store.written + chunk.length;
      grow(store, to - (store.pieces[0]?.from ?? store.written));
      drop(store, to - store.bytes.length);
      if (skipped > 0) lose(store, store.written, chunk.subarray(0, skipped), stream);
      const from = store.written + skipped;
      put(store.bytes, from, kept);
      store.written = to;
      const last = all.at(-1);
      if (last?.store === store && !last.isGone && last.stream === stream && last.time === time) last.to = to;
      else {
        const piece = { store, from, to, order: ++order, time, stream, isGone: false };
        store.pieces.push(piece);
        all.push(piece);
        if (store.pieces.length > MOST_PIECES) drop(store, store.pieces[1]!.from);
      }
      for (const wake of followers) wake();
    },
    forget(name) {
      for (const piece of stores.get(name)?.pieces ?? []) piece.isGone = true;
      stores.delete(name);
      sweep();
    },
    reader(names) {
      const wanted = names === null ? null : new Set(names);
      const places = new Map<Store, Place>();
      /** That of the last piece that was looked at: it may have grown. */
      let cursor = 0;

      function meet(store: Store): void {
        if (wanted !== null && !wanted.has(store.name)) return;
        const place: Place = {
          at: store.pieces[0]?.from ?? store.written,
          lost: 0,
          open: new Map(),
          // The lines that it begins in are not whole.
          skip: new Map([...store.cut].map((stream) => [stream, false])),
        };
        places.set(store, place);
        store.places.add(place);
      }
      for (const store of stores.values()) meet(store);
      newcomers.add(meet);

      return {
        read(most = Number.POSITIVE_INFINITY) {
          const lines: RecentLine[] = [];
          let rest = most;
          let index = firstBehind(all, cursor - 1);
          for (; index < all.length; index++) {
            const { store, from, to, stream, time, order: at, isGone } = all[index]!;
            cursor = at;
            const place = places.get(store);
            if (isGone || place === undefined || to <= place.at) continue;
            if (rest <= 0) break;
            const start = Math.max(from, place.at);
            const end = Math.min(to, start + rest);
            for (const text of linesOf(place, slice(store, start, end), stream, time)) {
              lines.push({ name: store.name, time, stream, text });
            }
            place.at = end;
            rest -= end - start;
            if (end < to) break;
          }
          const lost: [string, number][] = [];
          for (const [{ name }, place] of places) {
            if (place.lost > 0) lost.push([name, place.lost]);
            place.lost = 0;
          }
          return { lines, lost: Object.fromEntries(lost), more: index < all.length };
        },
        rest() {
          return [...places].flatMap(([{ name }, { open }]) =>
            [...open].map(([stream, { text, time }]) => ({
              name,
              time,
              stream,
              text: Buffer.concat(text).toString(),
            })),
          );
        },
        close() {
          newcomers.delete(meet);
          for (const [store, place] of places) store.places.delete(place);
        },
      };
    },
    follow(wake) {
      followers.add(wake);
      return () => followers.delete(wake);
    },
  };
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

/** The first piece of a higher order, by halving. */
function firstBehind(pieces: readonly Piece[], order: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle]!.order > order) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The lines that end in what was read; what is behind them stays open. */
function linesOf(place: Place, bytes: Buffer, stream: Source, time: number): string[] {
  const { open, skip } = place;
  const lines: string[] = [];
  let from = 0;
  const counts = skip.get(stream);
  if (counts !== undefined) {
    const end = bytes.indexOf(END);
    if (end < 0) return lines;
    skip.delete(stream);
    if (counts) place.lost++;
    from = end + 1;
  }
  for (let end = bytes.indexOf(END, from); end >= 0; end = bytes.indexOf(END, from)) {
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
  for (let at = bytes.indexOf(END); at >= 0; at = bytes.indexOf(END, at + 1)) count++;
  return count;
}
