/** Chromium, as Debian has it, and what is looked at in every page. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import { type BrowserContext, chromium, type Page } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const { source: AXE } = axe;

export interface Looks {
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
}
export const WIDE: Looks = { width: 1280, height: 800 };
export const NARROW: Looks = { width: 390, height: 844 };

export interface Viewer {
  readonly context: BrowserContext;
  readonly open: (url: string) => Promise<Page>;
  /** What pages have asked for elsewhere, what they were refused, and their errors. */
  readonly troubles: () => readonly string[];
  readonly close: () => Promise<void>;
}

/** A browser with a profile of its own. @param more of its options */
export async function openBrowser(
  { width, height, dark = false }: Looks = WIDE,
  more: readonly string[] = [],
): Promise<Viewer> {
  const profile = mkdtempSync(join(tmpdir(), 'upkeep-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: EXECUTABLE,
    headless: true,
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      ...more,
    ],
  });
  const troubles: string[] = [];
  const hosts = new Set<string>();
  context.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && protocol !== 'blob:' && !hosts.has(host))
      troubles.push(`asked for ${request.url()}`);
  });
  return {
    context,
    async open(url) {
      hosts.add(new URL(url).host);
      const page = await context.newPage();
      page.on('pageerror', (error) => troubles.push(`error: ${error.message}`));
      page.on('websocket', (socket) => {
        if (!hosts.has(new URL(socket.url()).host)) troubles.push(`connected to ${socket.url()}`);
      });
      page.on('console', (message) => {
        // Who is not there is asked again.
        if (message.type() === 'error' && !/WebSocket connection to/.test(message.text()))
          troubles.push(message.text());
      });
      await page.goto(url);
      return page;
    },
    troubles: () => troubles,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** What axe-core finds wrong with the page as it is. */
export async function violationsOf(page: Page): Promise<readonly string[]> {
  // Evaluated, as no script may be put into the page.
  await page.evaluate(AXE);
  const found = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as {
    violations: readonly { id: string; nodes: readonly { html: string; failureSummary?: string }[] }[];
  };
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)} ${failureSummary ?? ''}`),
  );
}

export const isPictured = process.env.UPKEEP_SCREENSHOTS !== undefined;

/** With UPKEEP_SCREENSHOTS, a folder, the page as it is goes there; docs/images/ has some of these. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env.UPKEEP_SCREENSHOTS;
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
