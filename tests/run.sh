#!/usr/bin/env bash
# Installs what the tests need, builds and runs them all: unit and sim under AddressSanitizer and UBSan first, then
# everything against the release build. Ends on ctest's summary; fails if anything failed.
#
#   tests/run.sh [--no-install]
set -euo pipefail
cd "$(dirname "$0")/.."

install=yes
for argument in "$@"; do
  case "$argument" in
    --no-install) install=no ;;
    -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "unknown option: $argument" >&2; exit 2 ;;
  esac
done

# shellcheck source=deploy/packages.sh
source deploy/packages.sh
if [ "$install" = yes ]; then
  # nginx in any of its flavours is enough, and node as it comes.
  packages=("${BUILD_PACKAGES[@]}")
  for name in "${TEST_PACKAGES[@]}"; do
    [ "$name" = nginx-light ] && [ -x /usr/sbin/nginx ] && continue
    packages+=("$name")
  done
  command -v node >/dev/null && command -v npm >/dev/null || packages+=(nodejs npm)
  install_packages "${packages[@]}"
  (cd tests/e2e && npm ci --no-audit --no-fund --loglevel=error)
fi

# A test whose tool is missing would be a test that did not run: say so now.
PATH="$PATH:/usr/sbin:/sbin"
export PATH
missing=()
for tool in cmake ninja g++ node npm nginx redis-server strace ss openssl curl chromium prlimit Xtigervnc mosquitto telnetd ngircd haproxy certbot lego pebble pebble-challtestsrv; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
/usr/bin/python3 -c 'import pytest, websockets, cryptography' || missing+=("python3 modules")
[ -e /usr/include/boost/beast.hpp ] || missing+=("Boost.Beast")
for module in ws undici playwright-core @novnc/novnc @xterm/xterm mqtt @neondatabase/serverless socket.io socket.io-client @microsoft/signalr jose oidc-provider; do
  [ -d "tests/e2e/node_modules/$module" ] || missing+=("npm $module")
done
if [ ${#missing[@]} -ne 0 ]; then
  echo "missing: ${missing[*]}" >&2
  exit 1
fi

jobs=$(nproc)
failed=0

cmake --preset asan >/dev/null
cmake --build --preset asan --target unit_and_sim -j "$jobs"
ctest --preset asan -j "$jobs" -L '^(unit|sim)$' --no-tests=error || failed=1

cmake --preset release >/dev/null
cmake --build --preset release -j "$jobs"
ctest --preset release -j "$jobs" --no-tests=error || failed=1

if [ $failed -ne 0 ]; then
  echo "tests failed" >&2
fi
exit $failed
