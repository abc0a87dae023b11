#!/usr/bin/env bash
# From a fresh Debian 12 to a running demo: installs the packages, builds a Release binary (build/release/sluice) and
# starts `sluice demo`. A second start takes seconds.
#
#   deploy/quickstart.sh [--build-only] [--no-install] [-- options of `sluice demo`]
set -euo pipefail
cd "$(dirname "$0")/.."

install=yes
start=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --build-only) start=no ;;
    --no-install) install=no ;;
    --) shift; break ;;
    -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "unknown option: $1" >&2; exit 2 ;;
  esac
  shift
done

# shellcheck source=deploy/packages.sh
source deploy/packages.sh
# python3-websockets and curl are what the demo's printed lines use.
[ "$install" = yes ] && install_packages "${BUILD_PACKAGES[@]}" python3-websockets curl ca-certificates

cmake --preset release -DSLUICE_TESTS=OFF >/dev/null
cmake --build --preset release --target sluice
[ "$start" = yes ] || { echo "built build/release/sluice"; exit 0; }
exec build/release/sluice demo "$@"
