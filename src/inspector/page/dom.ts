/** Elements in few words, and lists of which only the rows in sight are there. */

type Child = Node | string | null | undefined | false;
type Attributes = Readonly<
  Record<string, string | number | boolean | null | undefined | ((event: never) => void)>
>;

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element of HTML. What is a function listens to the event of that name; null, undefined and false are left out; true is an
 * attribute without a value.
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

/** The same of SVG. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name, value as EventListener);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

/** Sets the text only where it differs: an unchanged text must not be announced again. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export interface VirtualListOptions<T> {
  readonly role: 'tree' | 'listbox';
  readonly label: string;
  /** px. */
  readonly rowHeight: number;
  readonly key: (row: T) => string;
  /** Fills a row's element, which may have been another row's. */
  readonly draw: (row: T, element: HTMLElement) => void;
  readonly onSelect: (row: T) => void;
  /** Of a tree: 1 for what stands at the left, and the position among its siblings. */
  readonly place?: (row: T) => {
    readonly level: number;
    readonly position: number;
    readonly size: number;
    /** null: it has nothing below it. */
    readonly expanded: boolean | null;
  };
  /** Of a tree: opens or closes it. */
  readonly onExpand?: (row: T, expanded: boolean) => void;
}

let lists = 0;

/** A list of any length: the rows in sight are the only elements. Arrows, Home, End and the pages' keys move in it. */
export class VirtualList<T> {
  readonly element: HTMLElement;
  readonly #space: HTMLElement;
  readonly #options: VirtualListOptions<T>;
  readonly #prefix = `list${++lists}-`;
  readonly #pool = new Map<string, HTMLElement>();
  #rows: readonly T[] = [];
  #index = new Map<string, number>();
  #selected: string | null = null;
  #asked = false;

  constructor(options: VirtualListOptions<T>) {
    this.#options = options;
    this.#space = h('div', { class: 'list-space', role: 'presentation' });
    this.element = h(
      'div',
      {
        class: 'list',
        role: options.role,
        'aria-label': options.label,
        tabindex: 0,
        scroll: () => this.#soon(),
        keydown: (event: KeyboardEvent) => this.#key(event),
        click: (event: MouseEvent) => this.#click(event),
      },
      this.#space,
    );
    new ResizeObserver(() => this.#soon()).observe(this.element);
  }

  get rows(): readonly T[] {
    return this.#rows;
  }

  /** @param toEnd shows the last ones, if those in sight were the last ones before */
  show(rows: readonly T[], toEnd = false): void {
    const { element } = this;
    const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 4;
    this.#rows = rows;
    this.#index = new Map(rows.map((row, index) => [this.#options.key(row), index]));
    this.#space.style.height = `${rows.length * this.#options.rowHeight}px`;
    if (toEnd && atEnd) element.scrollTop = element.scrollHeight;
    this.#draw();
  }

  /** @param key null: nobody */
  select(key: string | null, reveal = false): void {
    this.#selected = key;
    if (reveal && key !== null) this.#reveal(key);
    this.#draw();
  }

  #reveal(key: string): void {
    const index = this.#index.get(key);
    if (index === undefined) return;
    const { rowHeight } = this.#options;
    const { scrollTop, clientHeight } = this.element;
    const top = index * rowHeight;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + rowHeight > scrollTop + clientHeight)
      this.element.scrollTop = top + rowHeight - clientHeight;
  }

  #soon(): void {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#draw();
    });
  }

  #draw(): void {
    const { rowHeight, role, key, place, draw } = this.#options;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - 4);
    const last = Math.min(this.#rows.length, Math.ceil((scrollTop + clientHeight) / rowHeight) + 4);
    const kept = new Set<string>();
    for (let index = first; index < last; index++) kept.add(key(this.#rows[index]!));
    const free: HTMLElement[] = [];
    for (const [name, element] of this.#pool) {
      if (kept.has(name)) continue;
      this.#pool.delete(name);
      free.push(element);
    }
    let active: string | null = null;
    for (let index = first; index < last; index++) {
      const row = this.#rows[index]!;
      const name = key(row);
      let element = this.#pool.get(name);
      if (element === undefined) {
        element = free.pop() ?? h('div', { class: 'row' });
        this.#pool.set(name, element);
        if (element.parentNode === null) this.#space.append(element);
      }
      element.id = `${this.#prefix}${index}`;
      element.dataset.key = name;
      element.style.transform = `translateY(${index * rowHeight}px)`;
      element.style.height = `${rowHeight}px`;
      element.setAttribute('role', role === 'tree' ? 'treeitem' : 'option');
      const isSelected = name === this.#selected;
      element.setAttribute('aria-selected', String(isSelected));
      if (isSelected) active = element.id;
      const at = place?.(row) ?? {
        level: null,
        position: index + 1,
        size: this.#rows.length,
        expanded: null,
      };
      element.setAttribute('aria-setsize', String(at.size));
      element.setAttribute('aria-posinset', String(at.position));
      if (at.level !== null) element.setAttribute('aria-level', String(at.level));
      if (at.expanded === null) element.removeAttribute('aria-expanded');
      else element.setAttribute('aria-expanded', String(at.expanded));
      draw(row, element);
    }
    for (const element of free) element.remove();
    if (active === null) this.element.removeAttribute('aria-activedescendant');
    else this.element.setAttribute('aria-activedescendant', active);
  }

  #choose(index: number): void {
    const row = this.#rows[Math.min(this.#rows.length - 1, Math.max(0, index))];
    if (row === undefined) return;
    this.select(this.#options.key(row), true);
    this.#options.onSelect(row);
  }

  #click(event: MouseEvent): void {
    const target = event.target as Element;
    const row = this.#rows[this.#index.get(target.closest<HTMLElement>('.row')?.dataset.key ?? '') ?? -1];
    if (row === undefined) return;
    const expanded = this.#options.place?.(row).expanded ?? null;
    if (expanded !== null && target.closest('.twist') !== null) this.#options.onExpand?.(row, !expanded);
    else this.#choose(this.#rows.indexOf(row));
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.#index.get(this.#selected ?? '') ?? -1;
    const row = this.#rows[at];
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#options.rowHeight) - 1);
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: at + 1,
      ArrowUp: at < 0 ? 0 : at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: this.#rows.length - 1,
    };
    const to = steps[event.key];
    if (to !== undefined) this.#choose(to);
    else if (row !== undefined && event.key === 'Enter') this.#choose(at);
    else if (row !== undefined && (event.key === 'ArrowRight' || event.key === 'ArrowLeft')) {
      const place = this.#options.place?.(row);
      if (place === undefined) return;
      const opens = event.key === 'ArrowRight';
      if (place.expanded === !opens) this.#options.onExpand?.(row, opens);
      else if (!opens) {
        // To what holds it.
        for (let above = at - 1; above >= 0; above--) {
          if (this.#options.place!(this.#rows[above]!).level >= place.level) continue;
          this.#choose(above);
          break;
        }
      } else return;
    } else return;
    event.preventDefault();
  }
}
