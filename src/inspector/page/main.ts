/** The page: wires what is told to the panes that show it. */
import { createChart } from './chart.ts';
import { connect, type Link } from './connection.ts';
import { h, say } from './dom.ts';
import { loadDrawings } from './drawings.ts';
import { createFleet } from './fleet.ts';
import { createMessages } from './messages.ts';
import { createOrders } from './orders.ts';
import { PANES, type Pane, type Place, readPlace, writePlace } from './place.ts';
import { createProcesses } from './processes.ts';
import { createScrubber } from './scrubber.ts';
import { Store } from './store.ts';
import { createTimeline } from './timeline.ts';
import { sessionOf } from './tree.ts';
import { duration } from './words.ts';

const TITLES: Readonly<Record<Pane, string>> = {
  fleet: 'Fleet',
  chart: 'Chart',
  timeline: 'Timeline',
  messages: 'Messages',
  processes: 'Processes',
};
/** ms between two steps of what goes on by itself. */
const TICK = 100;

const store = new Store();
let link: Link = 'connecting';
/** Why nobody is let in, in words. */
let refusal: string | null = null;
/** The first hello of a connection is still to come. */
let isFresh = true;
const connection = connect({
  onMessage(message) {
    store.apply(message);
    soon();
  },
  onLink(next, why) {
    link = next;
    refusal = why;
    isFresh ||= next === 'connecting';
    showHead();
  },
});
let place: Place = readPlace(location.hash);
/** What the viewer has selected himself, in this window: neither the page nor a link has. */
let chosen: string | null = null;

const fleet = createFleet(store, select, () => timeline.show());
const chart = createChart(store);
const timeline = createTimeline(store, select, fleet.names);
const messages = createMessages(store);
const processes = createProcesses(store, select);
const orders = createOrders(store, connection);
const scrubber = createScrubber(store, connection, tick);

const status = h('span', { class: 'link', role: 'status' });
const refused = h('p', { class: 'refusal', role: 'alert' });
const about = h('span', { class: 'quiet about' });
const tabs = new Map(
  PANES.map((pane, index) => [
    pane,
    h(
      'a',
      { href: `#${pane}`, class: `tab tab-${pane}`, title: `${TITLES[pane]} (${index + 1})` },
      TITLES[pane],
    ),
  ]),
);
const main = h(
  'main',
  {},
  fleet.element,
  h('div', { class: 'middle' }, chart.element, messages.element, processes.element, timeline.element),
);
document.body.append(
  h(
    'header',
    {},
    h('h1', {}, 'upkeep'),
    about,
    h('nav', { 'aria-label': 'Panes' }, ...tabs.values()),
    status,
  ),
  refused,
  scrubber.element,
  orders.element,
  main,
);

function select(key: string): void {
  chosen = key;
  go({ ...place, selected: key });
  orders.select(commandOf(), true);
}

function go(next: Place): void {
  const hash = writePlace(next);
  if (location.hash === hash) return;
  history.replaceState(null, '', hash);
  take(next);
}

function take(next: Place): void {
  place = next;
  main.dataset.pane = next.pane;
  for (const [pane, tab] of tabs) {
    tab.setAttribute('href', writePlace({ pane, selected: next.selected }));
    if (pane === next.pane) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  connection.say({ type: 'processes', wanted: next.pane === 'processes' });
  showSelected();
  showAll();
}

function showSelected(): void {
  const command = commandOf();
  fleet.select(place.selected);
  chart.select(sessionOf(store, place.selected), command);
  timeline.select(place.selected);
  messages.select(sessionOf(store, place.selected));
  processes.select(command);
  orders.select(command, chosen === place.selected);
}

function showAll(): void {
  fleet.show();
  chart.show();
  timeline.show();
  if (place.pane === 'messages') messages.show();
  if (place.pane === 'processes') processes.show();
  orders.show();
  scrubber.show();
  showHead();
}

const LINKS: Readonly<Record<Link, string>> = {
  connecting: 'connecting …',
  open: 'live',
  lost: 'lost, trying again …',
  refused: 'not let in',
};

function showHead(): void {
  if (!document.body.contains(status)) return;
  const { hello } = store;
  const isRecording = hello?.mode === 'recording';
  say(status, link === 'open' && isRecording ? 'recording' : LINKS[link]);
  status.dataset.link = link;
  refused.hidden = refusal === null;
  say(refused, refusal ?? '');
  if (hello === null) {
    say(about, '');
    return;
  }
  say(
    about,
    isRecording
      ? `${hello.upkeep} on ${hello.hostname}`
      : `${hello.upkeep} on ${hello.hostname}, up ${duration(coarse(store.now() - hello.began))}`,
  );
  document.title = `${hello.hostname} · upkeep`;
}

const coarse = (ms: number): number => Math.max(0, Math.floor(ms / 1_000) * 1_000);

let asked = false;
function soon(): void {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const changed = store.changes();
    // What stands first asks for least: the first that is not as it is wished to be, or the first at all.
    if (place.selected === null && (store.names.length > 0 || (!store.hasFleet && store.actors.size > 0))) {
      const first =
        store.names.find((name) => store.commands.get(name)?.status.asWished === false) ?? store.names[0];
      const key = first === undefined ? `actor:${store.actors.keys().next().value}` : `command:${first}`;
      if (store.hasFleet || store.hello === null) return go({ ...place, selected: key });
    }
    // Somebody else's machines have no commands, and no processes.
    const isForeign = !store.hasFleet && store.hello === null && store.actors.size > 0;
    main.classList.toggle('foreign', isForeign);
    tabs.get('timeline')!.hidden = isForeign;
    tabs.get('processes')!.hidden = isForeign;
    if (changed.has('actors') || changed.has('fleet') || changed.has('hello')) {
      fleet.show();
      chart.select(sessionOf(store, place.selected), commandOf());
      chart.show();
      orders.show();
    }
    if (changed.has('hello')) {
      if (isFresh && store.at !== null && store.at !== store.hello?.at) scrubber.again();
      isFresh = false;
      showSelected();
      scrubber.show();
      showHead();
    }
    if (changed.has('entries') || changed.has('fleet')) timeline.show();
    if (place.pane === 'messages' && (changed.has('messages') || changed.has('missed'))) messages.show();
    if (place.pane === 'processes' && changed.has('processes')) processes.show();
  });
}

/** null: it is no command that is selected. */
function commandOf(): string | null {
  return place.selected?.startsWith('command:') === true ? place.selected.slice('command:'.length) : null;
}

addEventListener('hashchange', () => {
  // Somebody has pasted the address: he stays where he is, unless it says otherwise.
  if (connection.admit() && location.hash === '') history.replaceState(null, '', writePlace(place));
  take(readPlace(location.hash));
});
addEventListener('keydown', (event) => {
  const target = event.target as Element;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches('input, select, textarea')) return;
  const pane = PANES[Number(event.key) - 1];
  if (event.key === '/') fleet.search();
  else if (pane !== undefined) go({ ...place, pane });
  else return;
  event.preventDefault();
});
/** What counts down or moves with the time goes on. */
function tick(): void {
  chart.tick();
  timeline.tick();
}
setInterval(() => {
  // The time of a recording moves where it is sought.
  if (document.visibilityState !== 'hidden' && store.hello?.mode !== 'recording') tick();
}, TICK);
setInterval(() => {
  if (document.visibilityState === 'hidden') return;
  fleet.tick();
  showHead();
}, 1_000);
take(place);
void loadDrawings().then(chart.draw);
