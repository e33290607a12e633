// Builds, and writes the bill of materials of what it has built to stdout, as CycloneDX: npm run --silent sbom > upkeep.cdx.json.
// npm knows versions, hashes and licences, but takes bundled packages for tools of development; what is in the bundle knows the build.
import { execFileSync } from 'node:child_process';
import { shipped } from './build.mjs';

const printed = execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'], {
  encoding: 'utf8',
  maxBuffer: 2 ** 26,
});
const bom = JSON.parse(printed);
const self = bom.metadata.component;
self.name = 'upkeep'; // npm says the folder's name
self.type = 'application';
bom.metadata.lifecycles = [{ phase: 'build' }];

const places = new Map(shipped.map(({ name, version, bundled }) => [`${name}@${version}`, bundled]));
bom.components = bom.components.filter((component) => places.has(`${component.name}@${component.version}`));
for (const component of bom.components) {
  const bundled = places.get(`${component.name}@${component.version}`);
  component.scope = bundled ? 'required' : component.scope;
  component.properties = bundled ? [{ name: 'cdx:npm:package:bundled', value: 'true' }] : [];
}
if (bom.components.length !== places.size)
  throw new Error(
    `cannot list all of ${places.size} packages: npm knows ${bom.components.length}; run npm ci first`,
  );

const kept = new Set([self['bom-ref'], ...bom.components.map((component) => component['bom-ref'])]);
bom.dependencies = bom.dependencies
  .filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) }));
console.log(JSON.stringify(bom, null, 2));
