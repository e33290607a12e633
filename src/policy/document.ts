/** YAML text as plain values, with the place of each in the text. */
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  Scalar,
  type YAMLError,
  YAMLParseError,
} from 'yaml';
import { type Environment, interpolate } from './interpolate.ts';
import type { Problem } from './problems.ts';
import { didYouMean, shown } from './usage-error.ts';

/** Where an entry of a mapping or list stands. */
interface Place {
  readonly file: string;
  readonly lines: LineCounter;
  /** Offsets of the key and the value. */
  readonly key: number;
  readonly value: number;
  /** A number, true or false as it was written: `1.10` is more than 1.1 where a text is meant. */
  readonly source: string | null;
  /** The number or flag that a text in quotes comes to, once its variables are filled in; null: none. */
  readonly single: number | boolean | null;
  /** A mistake in it was told already; what else is wrong with it follows from that. */
  readonly failed: boolean;
}

/** The places of the entries of each mapping and list, by key, in the order of the text. */
type Places = Map<string, Place>;
const places = new WeakMap<object, Places>();
/** The keys that were taken out of a mapping. */
const takenOut = new WeakMap<object, ReadonlySet<string>>();

export type Path = readonly (string | number)[];

/** Nobody nests deeper by hand, and the stack has an end. */
const DEEPEST = 64;
/** The same for the parser, which keeps up to two tokens for each of them. */
const DEEPEST_STACK = 2 * DEEPEST + 16;
const TOO_DEEP = 'it is nested too deeply; make it flat';
/** What aliases may add to a file: more is a bomb. */
const MOST_ALIASED = 200_000;
const MOST_SLIPS = 20;
const LONGEST_TEXT = 16 * 1024 * 1024;

/**
 * Reads one file. What is wrong with it is added to the problems.
 *
 * @param remedy what is to be written, where it has no mapping at its top
 * @returns the mapping at its top; null when the text is no such thing
 */
export function readDocument(
  text: string,
  file: string,
  env: Environment,
  problems: Problem[],
  remedy = 'write commands: and below it, for instance, web: nginx',
): Record<string, unknown> | null {
  const lines = new LineCounter();
  const report = (offset: number, message: string, path: Path = []): void => {
    problems.push({ file, ...lineAndColumn(lines, offset), path: pathText(path), message });
  };
  const whole = (message: string): null => {
    problems.push({ file, line: 0, column: 0, path: '', message });
    return null;
  };
  const nul = text.indexOf('\0');
  if (nul >= 0) {
    const message = 'it holds a NUL byte; take that out';
    problems.push({ file, ...placeBehind(text.slice(0, nul)), path: '', message });
    return null;
  }
  if (text.length > LONGEST_TEXT) return whole('it is longer than 16 MB; divide it and use include');

  let contents: Node | null;
  try {
    const document = parsed(text, lines);
    if (typeof document === 'number') {
      report(document, TOO_DEEP);
      return null;
    }
    const slips = slipsOf(text, lines, [...document.errors, ...document.warnings]);
    for (const { pos, message, code } of slips.slice(0, MOST_SLIPS)) {
      report(pos[0], `it can not be read as YAML: ${message}${slipHint(code, lineOf(text, pos[0]))}`);
    }
    const more = slips.slice(MOST_SLIPS);
    if (more.length > 0)
      report(more[0]!.pos[0], `and so on, ${more.length} times from here; put the others right first`);
    if (slips.length > 0) return null;
    contents = document.contents as Node | null;
  } catch (error) {
    if (error instanceof RangeError) return whole(TOO_DEEP);
    return whole(`it can not be read as YAML: ${(error as Error).message}`);
  }

  if (contents === null || (isScalar(contents) && contents.value === null)) {
    report(0, `it is empty; ${remedy}`);
    return null;
  }
  const value = createWalker(file, lines, env, report)(contents);
  if (isMapping(value)) return value;
  const what = Array.isArray(value) ? 'a list' : 'a single value';
  const message = `expected a mapping with commands, got ${what}; ${remedy}`;
  problems.push({ file, line: 1, column: 1, path: '', message });
  return null;
}

/** Line and column, from 1, of what follows a text. */
export function placeBehind(text: string): { line: number; column: number } {
  const lines = text.split('\n');
  return { line: lines.length, column: lines.at(-1)!.length + 1 };
}

/** What is meant most likely, where YAML takes a line for something else. */
function slipHint(code: string, line: string): string {
  if (/[{[][^}\]]*\$\{/.test(line)) return '; inside of { } and [ ] put variables in quotes';
  return code === 'BLOCK_AS_IMPLICIT_KEY' ? '; put a text that has ": " in it in quotes as a whole' : '';
}

/** What `parseDocument` of yaml does, but that nothing is put together which is nested too deeply: that takes long, and all
 * memory. A number: the offset from which on it is. */
function parsed(text: string, lines: LineCounter): Document.Parsed | number {
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  lines.addNewLine(0);
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length > DEEPEST_STACK) return parser.offset;
  }
  tokens.push(...parser.end());
  // Keys that are there twice are told with both places, and in linear time, elsewhere.
  const composer = new Composer({
    prettyErrors: false,
    lineCounter: lines,
    uniqueKeys: false,
    logLevel: 'error',
  });
  const [first, second] = composer.compose(tokens, true, text.length);
  if (second !== undefined) {
    const message = 'a second document begins here; take that out, or make it a file of its own';
    first!.errors.push(
      new YAMLParseError(second.range.slice(0, 2) as [number, number], 'MULTIPLE_DOCS', message),
    );
  }
  return first!;
}

/** They say least of what is wrong. */
const VAGUE: readonly string[] = ['MULTILINE_IMPLICIT_KEY', 'BLOCK_AS_IMPLICIT_KEY'];

/** Slips in the order of the text, without those that follow from another: one a line, none right behind another one, and no vague
 * one in the line of any. */
function slipsOf(text: string, lines: LineCounter, all: readonly YAMLError[]): YAMLError[] {
  const isVague = ({ code }: YAMLError): boolean => VAGUE.includes(code);
  const rank = (slip: YAMLError): number => 2 * slip.pos[0] + (isVague(slip) ? 1 : 0);
  const told: YAMLError[] = [];
  let covered = 0;
  let end = -1;
  for (const slip of all.toSorted((a, b) => rank(a) - rank(b))) {
    const [from, to] = slip.pos;
    const { line } = lines.linePos(from);
    const isNext = end >= from || (end >= 0 && text.slice(end, from).trim() === '');
    const follows = isNext || (isVague(slip) && end >= 0 && line <= lines.linePos(end).line);
    end = Math.max(end, to);
    if (follows || line <= covered) continue;
    covered = lines.linePos(to).line;
    told.push(slip);
  }
  return told;
}

/** The names of a mapping's entries, or the indexes of a list's, in the order of the text. */
export function keysOf(container: object): string[] {
  return [...(places.get(container)?.keys() ?? Object.keys(container))];
}

/** A mapping that has entries of several, with their places. */
export function gathered(entries: readonly (readonly [key: string, from: Record<string, unknown>])[]) {
  const whole = Object.fromEntries(entries.map(([key, from]) => [key, from[key]]));
  const all: Places = new Map();
  for (const [key, from] of entries) {
    const place = places.get(from)?.get(key);
    if (place !== undefined) all.set(key, place);
  }
  places.set(whole, all);
  return whole;
}

/** The value without what the paths lead to; in a list: without the whole list. Of each mapping it is known what was taken out. */
export function without<T>(value: T, paths: readonly Path[]): T {
  if (paths.length === 0 || !isMapping(value)) return value;
  const below = new Map<string, Path[]>();
  for (const [key, ...rest] of paths) {
    const others = below.get(String(key));
    if (others === undefined) below.set(String(key), [rest]);
    else others.push(rest);
  }
  const copy: Record<string, unknown> = { ...value };
  const gone = new Set<string>();
  for (const [key, rests] of below) {
    if (isMapping(copy[key]) && rests.every((rest) => rest.length > 0)) {
      copy[key] = without(copy[key], rests);
      continue;
    }
    delete copy[key];
    gone.add(key);
  }
  const entries = places.get(value);
  if (entries !== undefined) places.set(copy, entries);
  takenOut.set(copy, gone);
  return copy as T;
}

/** Was the key taken out of the mapping? */
export function isTakenOut<T extends object>(container: T, key: keyof T & string): boolean {
  return takenOut.get(container)?.has(key) ?? false;
}

/** Does a mapping have the key, or did it before that was taken out? */
export function isGiven<T extends object>(container: T, key: keyof T & string): boolean {
  return container[key] !== undefined || isTakenOut(container, key);
}

/** Has the text in quotes that the path leads to be the number or flag that it comes to. Is there one? */
export function reread(root: object, path: Path): boolean {
  let container: unknown = root;
  for (const key of path.slice(0, -1)) {
    container = isContainer(container) ? (container as Record<string | number, unknown>)[key] : undefined;
  }
  const key = path.at(-1);
  if (!isContainer(container) || key === undefined) return false;
  const single = places.get(container)?.get(String(key))?.single ?? null;
  const entries = container as Record<string | number, unknown>;
  if (single === null || entries[key] === single) return false;
  entries[key] = single;
  return true;
}

/** A text, number, true or false as it was written. */
export function writtenAt(container: object, key: string | number): string {
  const value = (container as Record<string, unknown>)[key];
  return typeof value === 'string'
    ? value
    : (places.get(container)?.get(String(key))?.source ?? String(value));
}

/**
 * A problem at the entry that the path leads to, or as near as it gets.
 *
 * @returns null where a mistake was told of that already
 */
export function problemAt(root: object, path: Path, message: string, at: 'key' | 'value'): Problem | null {
  let container: unknown = root;
  let place: Place | undefined;
  let whole = true;
  for (const key of path) {
    const next = isContainer(container) ? places.get(container)?.get(String(key)) : undefined;
    if (next === undefined) {
      whole = false;
      break;
    }
    place = next;
    if (place.failed) return null;
    container = (container as Record<string | number, unknown>)[key];
  }
  if (place === undefined) {
    const [first] = places.get(root)?.values() ?? [];
    return { file: first?.file ?? '', line: 1, column: 1, path: pathText(path), message };
  }
  const offset = at === 'key' || !whole ? place.key : place.value;
  return { file: place.file, ...lineAndColumn(place.lines, offset), path: pathText(path), message };
}

/** Where the entry stands, as in `upkeep.yaml:3:5`. */
export function placeText(container: object, key: string): string {
  const place = places.get(container)?.get(key);
  if (place === undefined) return 'somewhere else';
  const { line, column } = lineAndColumn(place.lines, place.key);
  return `${place.file}:${line}:${column}`;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function pathText(path: Path): string {
  return path.join('.');
}

function lineAndColumn(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function lineOf(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const end = text.indexOf('\n', offset);
  return text.slice(start, end < 0 ? text.length : end);
}

/** What a node comes to: as in Place. */
interface Read extends Pick<Place, 'source' | 'single'> {
  readonly value: unknown;
}
/** What is no text, number or flag was not written as one. */
const nothing = (value: unknown): Read => ({ value, source: null, single: null });

/** Turns nodes into plain values: fills in variables, follows aliases, merges. */
function createWalker(
  file: string,
  lines: LineCounter,
  env: Environment,
  report: (offset: number, message: string, path: Path) => void,
): (node: Node) => unknown {
  /** null: its node is being read. */
  const anchors = new Map<string, (Read & { readonly failed: boolean }) | null>();
  const sizes = new WeakMap<object, number>();
  /** Of what is being read. */
  const path: (string | number)[] = [];
  let aliased = 0;
  let failed = false;

  const offsetOf = (node: unknown, otherwise: number): number =>
    (node as Node | null | undefined)?.range?.[0] ?? otherwise;
  const fail = (offset: number, message: string, ...below: Path): null => {
    failed = true;
    report(offset, message, [...path, ...below]);
    return null;
  };
  const sizeOf = (value: unknown): number => (isContainer(value) ? (sizes.get(value) ?? 1) : 1);

  function walk(node: Node): Read {
    const offset = offsetOf(node, 0);
    if (path.length > DEEPEST) return nothing(fail(offset, TOO_DEEP));
    if (isAlias(node)) {
      const found = anchors.get(node.source);
      if (found === undefined) {
        const near = didYouMean(node.source, [...anchors.keys()]);
        const message = `cannot use *${node.source}: no anchor of that name stands before it${near || `; write &${node.source} at what is meant`}`;
        return nothing(fail(offset, message));
      }
      if (found === null) {
        const message = `cannot use *${node.source} inside of what it stands for; take it out`;
        return nothing(fail(offset, message));
      }
      aliased += sizeOf(found.value);
      if (aliased > MOST_ALIASED) {
        return nothing(fail(offset, 'its aliases stand for too much; use fewer'));
      }
      failed ||= found.failed;
      return found;
    }
    const { anchor } = node as { anchor?: string };
    if (anchor !== undefined) anchors.set(anchor, null);
    const read = isScalar(node)
      ? scalar(node)
      : nothing(isMap(node) ? mapping(node.items, offset) : isSeq(node) ? list(node.items) : null);
    if (anchor !== undefined) anchors.set(anchor, { ...read, failed: failed && !isContainer(read.value) });
    return read;
  }

  function scalar(node: Scalar): Read {
    const offset = offsetOf(node, 0);
    if (typeof node.value !== 'string') {
      const { value, source = null } = node;
      // Dates and the like, where the file asks for an old version of YAML.
      const single = value === null || typeof value === 'number' || typeof value === 'boolean';
      return { value: single ? value : String(source), source, single: null };
    }
    if (node.value.includes('\0')) {
      return nothing(fail(offset, 'it holds a NUL byte; take that out'));
    }
    if (!node.value.includes('$')) return { value: node.value, source: node.value, single: null };
    const { text, mistakes } = interpolate(node.value, env);
    for (const mistake of mistakes) fail(offset, mistake);
    if (text.includes('\0')) fail(offset, 'it holds a NUL byte; take that out');
    const meant = node.value.includes('${') ? numberOrFlag(text) : text;
    if (node.type === Scalar.PLAIN) return { value: meant, source: text, single: null };
    return { value: text, source: text, single: typeof meant === 'string' ? null : meant };
  }

  function list(items: readonly unknown[]): unknown[] {
    const values: unknown[] = [];
    const entries: Places = new Map();
    let size = 1;
    for (const [index, item] of items.entries()) {
      const { value, place } = entry(index, item as Node | null, offsetOf(item, 0));
      size += sizeOf(value);
      values.push(value);
      entries.set(String(index), place);
    }
    places.set(values, entries);
    sizes.set(values, size);
    return values;
  }

  function mapping(items: readonly Pair[], otherwise: number): Record<string, unknown> {
    const values = new Map<string, unknown>();
    const entries: Places = new Map();
    const own = new Map<string, number>();
    for (const item of items) {
      const keyOffset = offsetOf(item.key, otherwise);
      if (isScalar(item.key) && item.key.value === '<<' && item.key.type === Scalar.PLAIN) {
        merge(item.value as Node | null, keyOffset, values, entries);
        continue;
      }
      const key = keyText(item.key, keyOffset);
      if (key === null) continue;
      const first = own.get(key);
      if (first !== undefined) {
        const { line, column } = lineAndColumn(lines, first);
        fail(keyOffset, `the key is there twice, first at ${line}:${column}; take one out`, key);
        continue;
      }
      own.set(key, keyOffset);
      const { value, place } = entry(key, item.value as Node | null, keyOffset);
      values.set(key, value);
      entries.set(key, place);
    }
    const whole = Object.fromEntries(values);
    places.set(whole, entries);
    sizes.set(
      whole,
      [...values.values()].reduce<number>((sum, value) => sum + sizeOf(value), 1),
    );
    return whole;
  }

  function entry(
    key: string | number,
    node: Node | null,
    keyOffset: number,
  ): { value: unknown; place: Place } {
    const before = failed;
    failed = false;
    path.push(key);
    const { value, source, single } = node === null ? nothing(null) : walk(node);
    path.pop();
    // Of a mapping only the entries have failed.
    const place = {
      file,
      lines,
      key: keyOffset,
      value: offsetOf(node, keyOffset),
      source,
      single,
      failed: failed && !isContainer(value),
    };
    failed ||= before;
    return { value, place };
  }

  function keyText(key: unknown, offset: number): string | null {
    if (!isScalar(key) || key.value === null || key.value === '') {
      const what = isScalar(key) || key === null ? 'nothing' : 'something else';
      return fail(offset, `expected a text as key, got ${what}`);
    }
    const text = typeof key.value === 'string' ? key.value : (key.source ?? String(key.value));
    if (text === '__proto__' || text.includes('\0')) {
      return fail(offset, `cannot use the key ${shown(text)}; choose another`);
    }
    return text;
  }

  function merge(node: Node | null, offset: number, values: Map<string, unknown>, entries: Places): void {
    const { value } = node === null ? nothing(null) : walk(node);
    for (const from of Array.isArray(value) ? value : [value]) {
      if (!isMapping(from)) {
        if (!failed) fail(offset, 'expected a mapping behind <<, as in <<: *name');
        return;
      }
      for (const [key, place] of places.get(from)!) {
        if (values.has(key)) continue;
        values.set(key, from[key]);
        entries.set(key, place);
      }
    }
  }

  return (node) => walk(node).value;
}

/** What YAML takes a text without quotes for, once its variables are filled in. */
function numberOrFlag(text: string): string | number | boolean {
  if (/^(?:true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  return /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)$/.test(text) ? Number(text) : text;
}
