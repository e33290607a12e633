#!/usr/bin/env bash
# The two base images that the Dockerfiles name. Where they are neither here nor to be pulled (no registry), stand-ins of the
# same names are made from Debian's archive and npm's registry. A stand-in carries the hash of its recipe as a label: made
# once, made anew when the recipe has changed. Root only for making stand-ins.
set -euo pipefail

debian=debian:bookworm-slim
node=node:24-bookworm-slim
label=upkeep.stand-in
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}

arch=$(node -p process.arch)
npm_folder=$(npm root --global)/npm
[ -d "$npm_folder" ] || npm_folder=$(dirname "$(dirname "$(realpath "$(command -v npm)")")")
recipe=$(cat "$0" "$certificates" "$npm_folder/package.json" | sha256sum | cut -c1-16)

label_of() { docker image inspect --format "{{ index .Config.Labels \"$label\" }}" "$1" 2>/dev/null; }

# True when the image is here: a real one, or a stand-in of today's recipe.
is_here() {
  local has
  has=$(label_of "$1") && { [ -z "$has" ] || [ "$has" = "$recipe" ]; }
}

missing=()
for image in "$debian" "$node"; do
  is_here "$image" || timeout 300 docker pull --quiet "$image" 2>/dev/null || missing+=("$image")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "cannot pull ${missing[*]}: making stand-ins from Debian's archive and the npm package of node (about a minute)" >&2
command -v mmdebstrap >/dev/null || {
  echo "cannot make stand-ins for ${missing[*]}: there is no mmdebstrap here; install it, or give the engine a registry" >&2
  exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if ! is_here "$debian"; then
  # As in the real image: no manuals (dpkg leaves them out), and nothing starts because it was installed (policy-rc.d).
  mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d" && chmod 755 "$1/usr/sbin/policy-rc.d"' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin' \
    bookworm "$scratch/debian.tar"
  docker import --change "LABEL $label=$recipe" --change 'CMD ["bash"]' "$scratch/debian.tar" "$debian" >/dev/null
fi

mkdir "$scratch/node"
(cd "$scratch" && npm pack --silent "node-linux-$arch@24" | tail -n 1 | xargs -I{} tar -xzf {} --strip-components=2 \
  -C node package/bin/node)
cp -R "$npm_folder" "$scratch/node/npm"
cp "$certificates" "$scratch/node/ca-certificates.crt"
cat >"$scratch/node/Dockerfile" <<DOCKERFILE
FROM $debian
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \
 && groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node \
 && node --version && npm --version
CMD ["node"]
LABEL $label=$recipe
DOCKERFILE
docker build --quiet --tag "$node" "$scratch/node" >/dev/null
docker image ls --filter "label=$label" --format '{{.Repository}}:{{.Tag}} {{.Size}}' >&2
