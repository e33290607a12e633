/** Viewers on paper: what they are told, and how much of it they take. */
import type { Message } from '../../src/inspector/protocol.ts';
import type { Shown, Source, Viewer } from '../../src/inspector/source.ts';

// biome-ignore lint/suspicious/noExplicitAny: what is in there is what the tests are about.
export type Told = Record<string, any>;

export class PaperViewer implements Viewer {
  readonly own: boolean;
  readonly orders = true;
  readonly texts: string[] = [];
  readonly #messages: Told[] = [];
  /** Takes what it is sent. */
  takes = true;
  #waiting = 0;
  #shown: Shown | null = null;

  constructor(own = true) {
    this.own = own;
  }

  look(source: Source): this {
    this.#shown = source.show(this);
    return this;
  }

  send(text: string): void {
    this.texts.push(text);
    if (!this.takes) this.#waiting += text.length;
  }

  waiting(): number {
    return this.#waiting;
  }

  /** From now on. */
  take(): void {
    this.takes = true;
    this.#waiting = 0;
    this.#shown!.taken();
  }

  hold(): void {}
  release(): void {}

  want(...[wanted]: Parameters<Shown['want']>): void {
    this.#shown!.want(wanted);
  }

  leave(): void {
    this.#shown!.end();
  }

  messages(type?: Message['type']): Told[] {
    for (const text of this.texts.slice(this.#messages.length)) this.#messages.push(JSON.parse(text));
    return this.#messages.filter((message) => type === undefined || message.type === type);
  }
}
