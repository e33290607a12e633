#!/usr/bin/env bash
# Makes sure that a Docker engine answers: starts dockerd when none does and we are root. The engine stays up afterwards.
# UPKEEP_ENGINE_LOG: where the log of an engine that we start goes.
set -euo pipefail

log=${UPKEEP_ENGINE_LOG:-${TMPDIR:-/tmp}/upkeep-dockerd.log}
deadline=$((SECONDS + 60))

if docker info >/dev/null 2>&1; then exit 0; fi

refuse() {
  echo "cannot reach a Docker engine: $1; start one, or run as root with docker.io and iptables installed" >&2
  exit 1
}
[ "$(id -u)" = 0 ] || refuse 'none answers, and only root can start one'
for program in docker dockerd iptables; do
  command -v "$program" >/dev/null || refuse "none answers, and there is no $program here"
done

echo "no Docker engine answers: starting dockerd, its log is in $log" >&2
setsid nohup dockerd >"$log" 2>&1 </dev/null &
engine=$!
until docker info >/dev/null 2>&1; do
  if ! kill -0 "$engine" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
    tail -n 20 "$log" >&2
    refuse 'dockerd did not come up (its last lines are above)'
  fi
  sleep 0.2
done
