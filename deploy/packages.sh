# Debian packages that Sluice needs: to build, and for its tests. Sourced by deploy/quickstart.sh and tests/run.sh.
# shellcheck shell=bash disable=SC2034

BUILD_PACKAGES=(
  g++ cmake ninja-build ccache pkg-config
  libevent-dev libssl-dev libtomlplusplus-dev prometheus-cpp-dev libfmt-dev libspdlog-dev libsimdjson-dev
  nlohmann-json3-dev libcli11-dev libxxhash-dev libc-ares-dev libhiredis-dev zlib1g-dev
)

TEST_PACKAGES=(
  libgtest-dev libgmock-dev librapidcheck-dev libbenchmark-dev libboost-dev
  python3-pytest python3-websockets python3-cryptography
  nginx-light haproxy redis-server strace iproute2 openssl curl chromium
  tigervnc-standalone-server mosquitto postgresql inetutils-telnetd ngircd
  certbot lego pebble
)

# install_packages NAME...: those of them that are missing, by apt-get, as root or through sudo.
install_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "packages are missing and neither root nor sudo is here: ${missing[*]}" >&2; return 1; }
    sudo=(sudo)
  fi
  echo "installing: ${missing[*]}"
  "${sudo[@]}" apt-get update -q
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "${missing[@]}"
}
