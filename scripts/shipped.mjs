// What of others is shipped: packages that the bundler has put into dist/, and those that are installed beside it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const { packages: locked } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
/** Licences that ask for nothing but their notice. */
const ALLOWED = new Set(['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']);

/**
 * The packages of which the bundle holds at least a byte, and those that npm installs beside it.
 * @param metafiles esbuild's, of all that the bundle consists of
 * @returns `{ name, version, license, bundled, text }`, sorted by name; `text`: of its licence, null where it brings none
 */
export function shippedPackages(...metafiles) {
  const bundled = new Set();
  for (const { inputs } of metafiles.flatMap(({ outputs }) => Object.values(outputs))) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
      if (folder !== undefined && bytesInOutput > 0) bundled.add(folder);
    }
  }
  const beside = Object.keys(locked).filter((folder) => folder !== '' && !locked[folder].dev);
  return [...new Set([...bundled, ...beside])]
    .map((folder) => ({
      name: folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: locked[folder].version,
      license: locked[folder].license,
      bundled: bundled.has(folder),
      text: licenseText(join(root, folder)),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function licenseText(folder) {
  if (!existsSync(folder)) return null; // of another platform
  const names = readdirSync(folder).filter((name) =>
    /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i.test(name),
  );
  if (names.length === 0) return null;
  return names.map((name) => readFileSync(join(folder, name), 'utf8').trim()).join('\n\n');
}

/**
 * The page that goes with the bundle: whose packages are in it, under which licences.
 * @throws when a licence is not among those allowed, or a bundled package brings no text of it
 */
export function thirdPartyPage(packages) {
  for (const { name, license, bundled, text } of packages) {
    if (!ALLOWED.has(license))
      throw new Error(
        `cannot ship ${name}: its licence is ${license}; do without it, or allow it in scripts/shipped.mjs`,
      );
    if (bundled && text === null)
      throw new Error(
        `cannot ship ${name}: it brings no text of its licence (${license}); do without it, or add the text`,
      );
  }
  const rows = packages.map(
    ({ name, version, license, bundled }) =>
      `| ${name} | ${version} | ${license} | ${bundled ? 'bundled' : 'installed beside it'} |`,
  );
  const texts = packages
    .filter(({ text }) => text !== null)
    .map(({ name, version, text }) => `## ${name} ${version}\n\n\`\`\`\`text\n${text}\n\`\`\`\`\n`);
  return [
    '# Third-party packages in upkeep\n',
    'Written by the build, from what it bundles. Of the packages that npm installs beside it, one @koromix/koffi-… for the',
    'platform at hand is used: koffi, compiled, under the same licence.\n',
    '| package | version | licence | where |\n| --- | --- | --- | --- |',
    `${rows.join('\n')}\n`,
    texts.join('\n'),
  ].join('\n');
}
