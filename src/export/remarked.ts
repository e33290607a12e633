/** YAML with remarks where something is missing. */
import { Document, type Node, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';

export type Value = string | number | boolean | Mapping | readonly Value[];

const COLUMNS = 96;

/** Keys and values in order, with remarks in front of them. */
export class Mapping {
  readonly entries: { key: string; value: Value; remarks: readonly string[]; beside: string | null }[] = [];
  /** In front of the next entry, or at the end. */
  remarks: string[] = [];

  /** Undefined, or a mapping without entries, is left out; its remarks are kept. @param beside a remark in the same line. */
  put(key: string, value: Value | undefined, beside: string | null = null): this {
    if (value instanceof Mapping && value.entries.length === 0) this.remarks.push(...value.remarks);
    else if (value !== undefined) {
      this.entries.push({ key, value, remarks: this.remarks, beside });
      this.remarks = [];
    }
    return this;
  }

  /** What is missing at this place. */
  say(...remarks: readonly string[]): this {
    this.remarks.push(...remarks);
    return this;
  }
}

/** A mapping of what is given, without what is undefined. */
export function mapping(values: Readonly<Record<string, Value | undefined>>): Mapping {
  const made = new Mapping();
  for (const [key, value] of Object.entries(values)) made.put(key, value);
  return made;
}

/**
 * The documents as one text, which means the same in YAML 1.1 and 1.2: the engines read the older one.
 *
 * @param head remarks at the top
 * @param encode what a text has to become for the engine to take it as it is. Keys are as they are
 */
export function print(
  head: readonly string[],
  documents: readonly Mapping[],
  encode: (text: string) => string = (text) => text,
): string {
  const printed = documents.map((whole) => {
    const document = new Document(null, { version: '1.2', compat: 'yaml-1.1', aliasDuplicateObjects: false });
    document.contents = nodeOf(whole, encode) as typeof document.contents;
    return document.toString({ lineWidth: 0, blockQuote: false, flowCollectionPadding: false });
  });
  // Remarks have none of these: they are left in texts with double quotes alone.
  return `${commentOf(head).replace(/^/gm, '#')}\n${printed.join('---\n')}`.replace(
    RAW,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Left as they are by the printer in double quotes, and line ends or forbidden for some readers. */
const RAW = /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g;
/** What can't stand without double quotes. */
const ODD = /[^\x20-\x7e\xa0-\u2027\u202a-\ufefe\uff00-\ufffd]/;

function nodeOf(value: Value, encode: (text: string) => string): Node {
  if (value instanceof Mapping) {
    const map = new YAMLMap();
    for (const { key, value: inner, remarks, beside } of value.entries) {
      const name = scalar(key);
      if (remarks.length > 0) name.commentBefore = commentOf(remarks);
      const node = nodeOf(inner, encode);
      if (beside !== null) node.comment = ` ${printable(beside)}`;
      map.items.push(new Pair(name, node));
    }
    if (value.remarks.length > 0) map.comment = commentOf(value.remarks);
    return map;
  }
  if (typeof value !== 'object') return scalar(typeof value === 'string' ? encode(value) : value);
  const list = new YAMLSeq();
  list.items = value.map((one) => nodeOf(one, encode));
  list.flow = value.every((one) => typeof one !== 'object');
  return list;
}

function scalar(value: string | number | boolean): Scalar {
  const node = new Scalar(value);
  if (typeof value === 'string' && ODD.test(value)) node.type = 'QUOTE_DOUBLE';
  return node;
}

function commentOf(remarks: readonly string[]): string {
  return remarks.map((remark) => wrapped(printable(remark))).join('\n');
}

/** Broken at spaces; the second line and those that follow it are further to the right. */
function wrapped(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = ' ';
    }
    line += ` ${word}`;
  }
  return [...lines, line].join('\n');
}

/** No line ends: what follows one would be no remark any more. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\xa0-\u2027\u202a-\ufefe\uff00-\ufffd]/g, (one) =>
    JSON.stringify(one)
      .slice(1, -1)
      .replace(RAW, (odd) => `\\u${odd.charCodeAt(0).toString(16)}`),
  );
}
