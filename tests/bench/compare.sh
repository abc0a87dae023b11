#!/usr/bin/env bash
# compare.sh: Sluice against Debian's nginx and HAProxy as well-tuned WebSocket proxies, everything on loopback.
#
#   tests/bench/compare.sh [cpu|deep|syscalls|handshakes|auth|memory|stalled|bridge|http|messages|all]...
#
# The proxy runs on the first core, load and backend on the second; targets alternate within a round. README.md tells what
# the tables mean. Environment: ROUNDS (7), DURATION (seconds of one CPU measurement, 1.0), WARMUP (0.2), BUILD
# (build/release), TARGETS ("nginx haproxy sluice sluice-again"), PORT (22000), CPUS ("0 1": proxy, load),
# IDLE_STEPS (1000,9000), NO_BUILD=1 (take what BUILD holds), KEEP=DIR (results, configurations and logs stay there).
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/tests/bench
ROUNDS=${ROUNDS:-7}
DURATION=${DURATION:-1.0}
WARMUP=${WARMUP:-0.2}
BUILD=${BUILD:-$root/build/release}
TARGETS=${TARGETS:-nginx haproxy sluice sluice-again}
PORT=${PORT:-22000}
CPUS=${CPUS:-0 1}
IDLE_STEPS=${IDLE_STEPS:-1000,9000}
BRIDGE_STEPS=${BRIDGE_STEPS:-20,120}
read -r proxy_cpu load_cpu <<<"$CPUS"
echo_port=$((PORT + 1))
flood_port=$((PORT + 2))
tcp_port=$((PORT + 3))
www_port=$((PORT + 4))
sections=()
processes=()
declare -A pids=()

say() { printf '%s\n' "$*" >&2; }
die() { say "compare.sh: $*"; exit 1; }

# ---- what it starts, it ends ---------------------------------------------------------------------------------------
end_processes() {
  local pid
  for pid in "$@"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "$@"; do
    for _ in $(seq 30); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}

clean_up() {
  trap - EXIT INT TERM
  end_processes "${processes[@]}"
  if [[ -z ${KEEP:-} ]]; then rm -rf "$work"; else say "raw results: $work"; fi
}

started() { processes+=("$1"); }

# A proxy of the memory sections: it is alone, and it is fresh for each figure.
stop_target() {
  local pid=${pids[$1]%%,*} kept=() other
  end_processes "$pid"
  for other in "${processes[@]}"; do [[ $other == "$pid" ]] || kept+=("$other"); done
  processes=("${kept[@]}")
  unset "pids[$1]"
}

# ---- packages and programs -----------------------------------------------------------------------------------------
install_needed() {
  # shellcheck source=deploy/packages.sh
  source "$root/deploy/packages.sh"
  local needed=(nginx haproxy websockify wrk strace iproute2 openssl python3-minimal util-linux procps)
  if [[ ! -x $BUILD/tests/bench/sluice_load || ! -x $BUILD/sluice ]]; then
    needed+=("${BUILD_PACKAGES[@]}" libgtest-dev libgmock-dev libbenchmark-dev)
  fi
  install_packages "${needed[@]}" >&2
}

build_programs() {
  [[ -z ${NO_BUILD:-} ]] || return 0
  local wanted=(sluice_load sluice_echo bench_auth)
  [[ -f $root/gateway/main.cc ]] && wanted+=(sluice)
  if [[ ! -f $BUILD/build.ninja ]]; then (cd "$root" && cmake --preset release -B "$BUILD" >&2); fi
  cmake --build "$BUILD" --target "${wanted[@]}" >&2
}

# ---- certificate, token, configurations ----------------------------------------------------------------------------
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

make_credentials() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/server.key" -out "$work/server.crt" 2>/dev/null
  cat "$work/server.crt" "$work/server.key" >"$work/server.pem"
  local secret header claims signature
  secret=$(openssl rand -hex 32)
  (umask 077 && printf '%s' "$secret" >"$work/hs256.secret")
  header=$(printf '{"alg":"HS256","typ":"JWT"}' | base64url)
  claims=$(printf '{"iss":"https://id.example.com/","aud":"chat","sub":"bench","exp":%d}' $(($(date +%s) + 864000)) |
    base64url)
  signature=$(printf '%s.%s' "$header" "$claims" | openssl dgst -sha256 -hmac "$secret" -binary | base64url)
  token=$header.$claims.$signature
}

nginx_configuration() {
  local name=$1 tls=$2 plain=$3 route locations=""
  for route in echo:$echo_port flood:$flood_port; do
    locations+="
    location /${route%%:*} {
      proxy_pass http://127.0.0.1:${route##*:};
      proxy_http_version 1.1;
      proxy_set_header Host \$host;
      proxy_set_header Upgrade \$http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_buffering off;
      proxy_buffer_size 16k;
      proxy_buffers 8 16k;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }"
  done
  cat >"$work/$name.conf" <<END
daemon off;
worker_processes 1;
worker_rlimit_nofile $files;
pid $work/$name.pid;
error_log $work/$name.log warn;
events { worker_connections $files; }
http {
  access_log off;
  client_body_temp_path $work/$name.body;
  proxy_temp_path $work/$name.proxy;
  fastcgi_temp_path $work/$name.fastcgi;
  uwsgi_temp_path $work/$name.uwsgi;
  scgi_temp_path $work/$name.scgi;
  keepalive_requests 100000000;
  upstream www {
    server 127.0.0.1:$www_port;
    keepalive 128;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:$tls ssl reuseport backlog=4096;
    listen 127.0.0.1:$plain reuseport backlog=4096;
    server_name localhost;
    ssl_certificate $work/server.crt;
    ssl_certificate_key $work/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets on;$locations
    location /www/ {
      proxy_pass http://www;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host \$host;
      proxy_set_header X-Forwarded-For \$remote_addr;
      proxy_set_header X-Request-Id \$request_id;
      proxy_buffer_size 16k;
      proxy_buffers 8 16k;
    }
  }
}
END
}

haproxy_configuration() {
  local name=$1 tls=$2 plain=$3
  cat >"$work/$name.conf" <<END
global
  nbthread 1
  maxconn $(((files - 400) / 2))
  maxpipes 64
  tune.bufsize 16384
  tune.ssl.cachesize 0
defaults
  mode http
  option splice-auto
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:$tls ssl crt $work/server.pem ssl-min-ver TLSv1.2 backlog 4096
  bind 127.0.0.1:$plain backlog 4096
  use_backend flood if { path_beg /flood }
  use_backend www if { path_beg /www/ }
  default_backend echo
backend echo
  server echo 127.0.0.1:$echo_port
backend flood
  server flood 127.0.0.1:$flood_port
backend www
  option forwardfor
  http-reuse always
  http-request set-header X-Request-Id %[uuid()]
  server www 127.0.0.1:$www_port pool-max-conn 128
END
}

haproxytcp_configuration() {
  local name=$1 tls=$2 plain=$3
  cat >"$work/$name.conf" <<END
global
  nbthread 1
  maxconn $(((files - 400) / 2))
  maxpipes 64
  tune.bufsize 16384
  tune.ssl.cachesize 0
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend front
  bind 127.0.0.1:$tls ssl crt $work/server.pem ssl-min-ver TLSv1.2 backlog 4096
  bind 127.0.0.1:$plain backlog 4096
  default_backend echo
backend echo
  server echo 127.0.0.1:$echo_port
END
}

# It listens on one port, so there are two of it, children of the pid that is measured.
websockify_configuration() { :; }

websockify_run() {
  local tls=$1 plain=$2 first second
  websockify --cert "$work/server.crt" --key "$work/server.key" --ssl-only "127.0.0.1:$tls" "127.0.0.1:$tcp_port" &
  first=$!
  websockify "127.0.0.1:$plain" "127.0.0.1:$tcp_port" &
  second=$!
  # shellcheck disable=SC2064  # these two, whatever comes
  trap "kill $first $second" TERM
  wait
}

sluice_configuration() {
  local name=$1 tls=$2 plain=$3 admin=$4 route routes="" each=""
  [[ -z ${spread:-} ]] || each="[backend.each]
servers = [\"ws://127.0.0.1:$echo_port\", \"ws://127.0.0.2:$echo_port\"]
balance = { unit = \"message\", policy = \"round_robin\" }"
  # A route with several legs a client would halve the connections that the descriptors are enough for.
  for route in echo flood bridge ${spread:+each}; do
    routes+="
[[route]]
path = \"/$route\"
auth = \"users\"
backend = \"$route\"
rate_limit = [\"messages\", \"bytes\", \"new\", \"per_ip\", \"per_user\"]
[route.websocket]
max_message = \"16MiB\"
"
  done
  cat >"$work/$name.conf" <<END
version = 1
[server]
workers = 1
drain_timeout = "1s"
[log]
level = "warn"
access = "${access:-$work/$name.access.log}"
[admin]
bind = "127.0.0.1:$admin"
[[listener]]
name = "tls"
bind = "127.0.0.1:$tls"
limits = { max_requests = "unlimited" }
[[listener.tls.certificate]]
cert = "$work/server.crt"
key = "$work/server.key"
[[listener]]
name = "plain"
bind = "127.0.0.1:$plain"
limits = { max_requests = "unlimited" }
[auth.users]
type = "jwt"
algorithms = ["HS256"]
secret_file = "$work/hs256.secret"
issuer = "https://id.example.com/"
audience = "chat"
from = ["header:Authorization"]
forward = { sub = "X-User-Id" }
[rate_limit.messages]
key = "connection"
unit = "messages"
rate = "10000000/s"
on_limit = "delay"
[rate_limit.bytes]
key = "claim:sub"
unit = "bytes"
rate = "100GiB/s"
on_limit = "close"
[rate_limit.new]
key = "ip"
unit = "handshakes"
rate = "1000000/s"
burst = 1000000
[rate_limit.per_ip]
key = "ip"
unit = "connections"
limit = 1000000
[rate_limit.per_user]
key = "claim:sub"
unit = "connections"
limit = 1000000
$routes
[[route]]
path = "/www/*"
backend = "www"
[backend.www]
servers = ["http://127.0.0.1:$www_port"]
pool = { max_idle = 128, max_age = "unlimited" }
[backend.echo]
servers = ["ws://127.0.0.1:$echo_port"]
[backend.flood]
servers = ["ws://127.0.0.1:$flood_port"]
$each
[backend.bridge]
servers = ["tcp://127.0.0.1:$tcp_port"]
END
}

# Routes that differ in how a client says who it is, and in nothing else.
sluiceauth_configuration() {
  local name=$1 tls=$2 plain=$3 admin=$4 method routes=""
  for method in hs256 es256 rs256 eddsa; do
    routes+="
[auth.$method]
type = \"jwt\"
algorithms = [\"$(algorithm_of $method)\"]
$([[ $method == hs256 ]] && printf 'secret_file = "%s/hs256.secret"' "$work" || printf 'public_key_file = "%s/%s.pub"' "$work" $method)
issuer = \"https://id.example.com/\"
audience = \"chat\"
forward = { sub = \"X-User-Id\" }
[[route]]
path = \"/$method\"
auth = \"$method\"
backend = \"echo\"
"
  done
  cat >"$work/$name.conf" <<END
version = 1
[server]
workers = 1
drain_timeout = "1s"
[log]
level = "warn"
access = "${access:-$work/$name.access.log}"
[admin]
bind = "127.0.0.1:$admin"
[[listener]]
name = "tls"
bind = "127.0.0.1:$tls"
[[listener.tls.certificate]]
cert = "$work/server.crt"
key = "$work/server.key"
[[listener]]
name = "plain"
bind = "127.0.0.1:$plain"
$routes
[auth.api_key]
type = "api_key"
keys_file = "$work/keys.toml"
failures = "off"
[[route]]
path = "/api_key"
auth = "api_key"
backend = "echo"
[[route]]
path = "/none"
backend = "echo"
[backend.echo]
servers = ["ws://127.0.0.1:$echo_port"]
END
}

# ---- targets -------------------------------------------------------------------------------------------------------
kind_of() { printf '%s' "${1%%-*}"; }

tls_port() {
  local i=1 target
  for target in $TARGETS; do
    if [[ $target == "$1" ]]; then break; fi
    i=$((i + 1))
  done
  printf '%d' $((PORT + 10 * i))
}
port_of() { printf '%d' $(($(tls_port "$1") + ($2 == 1 ? 0 : 1))); }

wait_for_port() {
  local pid=$1 port=$2 name=$3
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/$name.out" >&2 || true
  die "$name does not listen on $port"
}

start_target() {
  local name=$1 kind tls pid
  kind=$(kind_of "$name")
  tls=$(tls_port "$name")
  "${kind}_configuration" "$name" "$tls" $((tls + 1)) $((tls + 2))
  case $kind in
    nginx) taskset -c "$proxy_cpu" nginx -p "$work" -e "$work/$name.log" -c "$work/$name.conf" >"$work/$name.out" 2>&1 & ;;
    haproxy) taskset -c "$proxy_cpu" haproxy -db -f "$work/$name.conf" >"$work/$name.out" 2>&1 & ;;
    haproxytcp) taskset -c "$proxy_cpu" haproxy -db -f "$work/$name.conf" >"$work/$name.out" 2>&1 & ;;
    websockify) (taskset -pc "$proxy_cpu" "$BASHPID" >/dev/null && websockify_run "$tls" $((tls + 1))) >"$work/$name.out" 2>&1 & ;;
    sluice | sluiceauth) taskset -c "$proxy_cpu" "$BUILD/sluice" run --config "$work/$name.conf" >"$work/$name.out" 2>&1 & ;;
  esac
  pid=$!
  started "$pid"
  wait_for_port "$pid" "$tls" "$name"
  wait_for_port "$pid" $((tls + 1)) "$name"
  pids[$name]=$pid
  # nginx works in children of its master; taskset has become the proxy itself.
  local child
  for child in $(pgrep -P "$pid" || true); do pids[$name]+=,$child; done
}

start_all() {
  local target
  for target in $TARGETS; do [[ -n ${pids[$target]:-} ]] || start_target "$target"; done
}
stop_all() {
  local target
  for target in "${!pids[@]}"; do stop_target "$target"; done
}
single_targets() {
  local target
  for target in $TARGETS; do [[ $target == sluice-again ]] || printf '%s ' "$target"; done
}

# ---- measurements --------------------------------------------------------------------------------------------------
# One run of sluice_load against one target; its line goes into the results.
measure() {
  local section=$1 cell=$2 round=$3 target=$4 mode=$5 tls=$6 load_pid line
  shift 6
  # In the background, so that a signal to this script does not wait for the run to end.
  timeout -k 5 200 taskset -c "$load_cpu" "$load" "$mode" --port "$(port_of "$target" "$tls")" --tls "$tls" \
    --token "$token" --pids "${pids[$target]}" "$@" >"$work/line" 2>"$work/line.err" &
  load_pid=$!
  processes+=("$load_pid")
  if ! wait "$load_pid"; then
    cat "$work/line.err" >&2
    die "$section $cell: $target failed"
  fi
  unset 'processes[-1]'
  line=$(<"$work/line")
  [[ -s $work/line.err ]] && cat "$work/line.err" >&2
  printf '%s\t%s\t%s\t%s\t%s\n' "$section" "$cell" "$target" "$round" "$line" >>"$results"
}

connections_for() { if (($1 >= 131072)); then printf 8; else printf 32; fi; }

# section, tls, depth, sizes...
round_trips() {
  local section=$1 tls=$2 depth=$3 size round target
  shift 3
  for size in "$@"; do
    for round in $(seq "$ROUNDS"); do
      for target in $TARGETS; do
        measure "$section" "$size" "$round" "$target" rtt "$tls" --size "$size" --depth "$depth" \
          --connections "$(connections_for "$size")" --seconds "$DURATION" --warmup "$WARMUP"
      done
    done
  done
}

run_cpu() {
  start_all
  round_trips cpu-wss 1 1 64 1024 16384 131072 1048576
  table cpu-wss
  round_trips cpu-ws 0 1 64 1024 16384 131072 1048576
  table cpu-ws
}

run_deep() {
  start_all
  round_trips deep-wss 1 16 64 1024 16384
  table deep-wss
  round_trips deep-ws 0 16 64 1024 16384
  table deep-ws
}

run_syscalls() {
  local tls size round target count
  start_all
  for tls in 1 0; do
    for size in 64 1024 16384 131072 1048576; do
      case $size in 131072) count=400 ;; 1048576) count=80 ;; *) count=1500 ;; esac
      for round in 1 2; do
        for target in $(single_targets); do
          measure "syscalls-$( ((tls)) && echo wss || echo ws)" "$size" "$round" "$target" rtt "$tls" --size "$size" \
            --connections "$(connections_for "$size")" --count "$count" --strace "$work/strace.$target.$tls.$size"
        done
      done
    done
  done
  table syscalls-wss syscalls-ws
}

run_handshakes() {
  local resume round target
  start_all
  for resume in 0 1; do
    for round in $(seq "$ROUNDS"); do
      for target in $TARGETS; do
        measure handshakes "$( ((resume)) && echo resumed || echo full)" "$round" "$target" handshakes 1 \
          --resume "$resume" --seconds "$DURATION" --warmup "$WARMUP"
      done
    done
  done
  table handshakes
}

algorithm_of() {
  case $1 in eddsa) printf EdDSA ;; *) printf '%s' "${1^^}" ;; esac
}

# Keys of each kind and more tokens of each than the gateway has room to remember; one API key.
make_identities() {
  local method prefix secret
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/es256.key" 2>/dev/null
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/rs256.key" 2>/dev/null
  openssl genpkey -algorithm ED25519 -out "$work/eddsa.key" 2>/dev/null
  for method in es256 rs256 eddsa; do openssl pkey -in "$work/$method.key" -pubout -out "$work/$method.pub"; done
  cp "$work/hs256.secret" "$work/hs256.key"
  for method in hs256 es256 rs256 eddsa; do
    "$load" mint --algorithm "$(algorithm_of $method)" --key "$work/$method.key" >"$work/$method.tokens"
    head -1 "$work/$method.tokens" >"$work/$method.token"
  done
  prefix=$(openssl rand -hex 8)
  secret=sk_${prefix}_$(openssl rand 32 | base64url)
  printf '%s\n' "$secret" >"$work/api_key.token"
  printf '[[key]]\nname = "bench"\nprefix = "%s"\nsha256 = "%s"\n' "$prefix" \
    "$(printf '%s' "$secret" | openssl dgst -sha256 -r | cut -d' ' -f1)" >"$work/keys.toml"
}

# What a check costs by itself, and what it leaves of the handshakes that there are without one.
run_auth() {
  local TARGETS=sluiceauth token="" tls round cell method field file
  stop_all
  make_identities
  taskset -c "$proxy_cpu" "$BUILD/tests/bench/bench_auth"
  start_all
  for tls in 1 0; do
    for round in $(seq "$ROUNDS"); do
      for cell in none hs256 es256-cached es256 rs256-cached rs256 eddsa api_key none-again; do
        method=${cell%%-*} field="Authorization: Bearer " file=$work/${cell%%-*}.tokens
        case $cell in
          none*) file="" ;;
          *-cached) file=$work/$method.token ;;
          api_key) file=$work/api_key.token field="X-API-Key: " ;;
        esac
        measure "auth-$( ((tls)) && echo wss || echo ws)" "$cell" "$round" sluiceauth handshakes "$tls" --path "/$method" \
          --tokens "$file" --credential "$field" --seconds "$DURATION" --warmup "$WARMUP"
      done
    done
  done
  stop_all
  table auth-wss auth-ws
}

run_memory() {
  local tls message target scheme
  stop_all
  for tls in 1 0; do
    scheme=$( ((tls)) && echo wss || echo ws)
    for message in 0 16384; do
      for target in $(single_targets); do
        start_target "$target"
        sleep 0.5
        measure "memory" "$scheme-$( ((message)) && echo message || echo fresh)" 1 "$target" idle "$tls" \
          --steps "$IDLE_STEPS" --message "$message"
        stop_target "$target"
      done
    done
  done
  table memory
}

# The raw bridge against who does the same (websockify: the same clients, the same TCP echo) and against who looks at nothing
# (HAProxy in TCP mode: the same octets of the clients, to the WebSocket echo).
run_bridge() {
  local TARGETS="websockify haproxytcp sluice sluice-again" size scheme tls round target connections seconds
  stop_all
  start_all
  for tls in 1 0; do
    scheme=$( ((tls)) && echo wss || echo ws)
    for size in 64 16384 1048576; do
      connections=8 seconds=$DURATION
      # websockify brings a handful of these a second.
      ((size < 1048576)) || { connections=2; seconds=$(awk "BEGIN {print 3 * $DURATION}"); }
      for round in $(seq "$ROUNDS"); do
        for target in $TARGETS; do
          measure "bridge-$scheme" "$size" "$round" "$target" rtt "$tls" --path /bridge --size "$size" --stream 1 --children 1 \
            --connections "$connections" --seconds "$seconds" --warmup "$WARMUP"
        done
      done
    done
  done
  stop_all
  for tls in 1 0; do
    scheme=$( ((tls)) && echo wss || echo ws)
    for target in $(single_targets); do
      start_target "$target"
      sleep 0.5
      measure "bridge-memory" "$scheme" 1 "$target" idle "$tls" --path /bridge --children 1 --steps "$BRIDGE_STEPS"
      stop_target "$target"
    done
  done
  table bridge-wss bridge-ws bridge-memory
}

# Who answers plain requests behind the proxies: files of 1 and 64 KiB by nginx, on the core of the load.
start_www() {
  mkdir -p "$work/www"
  head -c 1024 /dev/zero >"$work/www/1024"
  head -c 65536 /dev/zero >"$work/www/65536"
  # It may run as another user.
  chmod a+x "$work"
  chmod -R a+rX "$work/www"
  cat >"$work/www.conf" <<END
daemon off;
worker_processes 1;
pid $work/www.pid;
error_log $work/www.log warn;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  client_body_temp_path $work/www.body;
  proxy_temp_path $work/www.proxy;
  fastcgi_temp_path $work/www.fastcgi;
  uwsgi_temp_path $work/www.uwsgi;
  scgi_temp_path $work/www.scgi;
  server {
    listen 127.0.0.1:$www_port;
    location /www/ { alias $work/www/; open_file_cache max=10; }
  }
}
END
  taskset -c "$load_cpu" nginx -p "$work" -e "$work/www.log" -c "$work/www.conf" >"$work/www.out" 2>&1 &
  started $!
  wait_for_port $! "$www_port" www
}

# Ticks of processor time that the processes of a target have used, children that have ended left out.
ticks_of() {
  local pid sum=0 fields
  for pid in ${1//,/ }; do
    read -r -a fields <<<"$(sed 's/.*) //' "/proc/$pid/stat")"
    sum=$((sum + fields[11] + fields[12]))
  done
  printf '%d' "$sum"
}

# One run of wrk; its requests by the processor time that the proxy took for them.
measure_requests() {
  local section=$1 cell=$2 round=$3 target=$4 tls=$5 seconds before after requests
  seconds=$(awk "BEGIN {s = 3 * $DURATION; printf \"%d\", s < 1 ? 1 : s}")
  before=$(ticks_of "${pids[$target]}")
  taskset -c "$load_cpu" wrk -t 1 -c 32 -d "${seconds}s" "http$( ((tls)) && echo s)://127.0.0.1:$(port_of "$target" "$tls")/www/$cell" \
    >"$work/wrk.out" 2>&1 || die "$section $cell: wrk against $target failed"
  after=$(ticks_of "${pids[$target]}")
  if grep -qE 'Socket errors|Non-2xx' "$work/wrk.out"; then
    cat "$work/wrk.out" >&2
    die "$section $cell: $target answered wrongly"
  fi
  requests=$(awk '/requests in/ {print $1}' "$work/wrk.out")
  awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v n="$requests" -v head="$section\t$cell\t$target\t$round" \
    'BEGIN {printf "%s\tus_per_request=%.3f requests=%d\n", head, ticks / hz * 1e6 / n, n}' >>"$results"
}

# Nobody writes a line for each request here.
run_http() {
  local access=off tls size round target scheme
  stop_all
  start_www
  start_all
  for tls in 1 0; do
    scheme=$( ((tls)) && echo https || echo http)
    for size in 1024 65536; do
      for round in $(seq "$ROUNDS"); do
        for target in $TARGETS; do measure_requests "requests-$scheme" "$size" "$round" "$target" "$tls"; done
      done
    done
    table "requests-$scheme"
  done
}

# Balancing each message over two servers against one server for each connection, by the same gateway.
run_messages() {
  local TARGETS="sluice sluice-again" spread=yes tls size depth round target way
  stop_all
  start_all
  for tls in 1 0; do
    for depth in 1 16; do
      for size in 64 1024 16384; do
        for round in $(seq "$ROUNDS"); do
          for target in $TARGETS; do
            for way in echo each; do
              measure "messages-$( ((tls)) && echo wss || echo ws)-$way" "$size-$depth" "$round" "$target" rtt "$tls" \
                --path "/$way" --size "$size" --depth "$depth" --connections 32 --seconds "$DURATION" --warmup "$WARMUP"
            done
          done
        done
      done
    done
  done
  stop_all
  table messages-wss messages-ws
}

run_stalled() {
  local tls target scheme phase sockets
  stop_all
  # shellcheck disable=SC2016  # $1 is the hook's own
  printf '#!/bin/sh\nexec ss -tmpnHO >"%s/ss.$1"\n' "$work" >"$work/hook.sh"
  chmod +x "$work/hook.sh"
  for tls in 1 0; do
    scheme=$( ((tls)) && echo wss || echo ws)
    for target in $(single_targets); do
      start_target "$target"
      measure stalled "$scheme" 1 "$target" stall "$tls" --path /flood --rate 4000000 --hook "$work/hook.sh"
      for phase in reading stalled; do
        sockets=$(socket_memory "$work/ss.$phase" "${pids[$target]}")
        printf 'stalled\t%s\t%s\t1\tsockets_%s=%s\n' "$scheme" "$target" "$phase" "$sockets" >>"$results"
      done
      cp "$work/ss.stalled" "$work/ss.$target.$scheme"
      stop_target "$target"
    done
  done
  table stalled
}

# KiB that the kernel has charged to the sockets of some processes: skmem's r (receive queue), w (everything queued for
# sending, in flight included), f (reserved ahead), o (options) and bl (backlog). t is what the device layer holds of w.
socket_memory() {
  awk -v pids="$2" '
    BEGIN { n = split(pids, list, ","); }
    {
      mine = 0
      for (i = 1; i <= n; ++i) if (index($0, "pid=" list[i] ",")) mine = 1
      if (!mine || !match($0, /skmem:\([^)]*\)/)) next
      fields = split(substr($0, RSTART + 7, RLENGTH - 8), part, ",")
      for (i = 1; i <= fields; ++i) if (part[i] ~ /^(r|w|f|o|bl)[0-9]+$/) { sub(/^[a-z]+/, "", part[i]); sum += part[i] }
    }
    END { printf "%.1f", sum / 1024 }' "$1"
}

table() { python3 "$here/tables.py" "$results" "$@"; }

# ---- main ----------------------------------------------------------------------------------------------------------
estimate() {
  local section n single seconds=0
  n=$(wc -w <<<"$TARGETS")
  single=$(wc -w <<<"$(single_targets)")
  for section in "${sections[@]}"; do
    case $section in
      cpu) seconds=$(awk "BEGIN {print $seconds + 10 * $ROUNDS * $n * ($DURATION + $WARMUP + 0.1)}") ;;
      deep) seconds=$(awk "BEGIN {print $seconds + 6 * $ROUNDS * $n * ($DURATION + $WARMUP + 0.1)}") ;;
      handshakes) seconds=$(awk "BEGIN {print $seconds + 2 * $ROUNDS * $n * ($DURATION + $WARMUP + 0.1)}") ;;
      auth) seconds=$(awk "BEGIN {print $seconds + 45 + 16 * $ROUNDS * ($DURATION + $WARMUP + 0.2)}") ;;
      syscalls) seconds=$(awk "BEGIN {print $seconds + 20 * $single * 1.5}") ;;
      memory) seconds=$(awk "BEGIN {print $seconds + 4 * $single * 12}") ;;
      stalled) seconds=$(awk "BEGIN {print $seconds + 2 * $single * 12}") ;;
      http) seconds=$(awk "BEGIN {print $seconds + 4 * $ROUNDS * $n * (3 * $DURATION + 0.3)}") ;;
      messages) seconds=$(awk "BEGIN {print $seconds + 48 * $ROUNDS * ($DURATION + $WARMUP + 0.1)}") ;;
      bridge) seconds=$(awk "BEGIN {print $seconds + 6 * $ROUNDS * 4 * (1.7 * $DURATION + $WARMUP + 0.4) + 60}") ;;
    esac
  done
  awk "BEGIN {printf \"%.0f\", $seconds / 60 + 0.5}"
}

versions() {
  printf '# %s\n\n' "$(date -u '+%Y-%m-%d %H:%M UTC')"
  printf -- '- %s, kernel %s, %s cores, load average %s\n' "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" \
    "$(uname -r)" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)"
  printf -- '- %s; %s; %s\n' "$(nginx -v 2>&1 | sed 's/.*: //')" "$(haproxy -v | head -1 | cut -d' ' -f1-3)" \
    "$("$BUILD/sluice" --version 2>/dev/null | head -1 || true)"
  printf -- '- %s rounds of %s s, proxy on core %s, load and backend on core %s\n' "$ROUNDS" "$DURATION" "$proxy_cpu" \
    "$load_cpu"
}

main() {
  local section
  (($# > 0)) || set -- all
  for section in "$@"; do
    case $section in
      all) sections=(cpu deep syscalls handshakes auth memory stalled bridge http messages) ;;
      cpu | deep | syscalls | handshakes | auth | memory | stalled | bridge | http | messages) sections+=("$section") ;;
      *) die "usage: compare.sh [cpu|deep|syscalls|handshakes|auth|memory|stalled|bridge|http|messages|all]..." ;;
    esac
  done
  (($(nproc --all) >= 2)) || die "two cores are needed: one for the proxy, one for load and backend"
  work=${KEEP:-$(mktemp -d "${TMPDIR:-/tmp}/sluice-bench.XXXXXX")}
  mkdir -p "$work"
  results=$work/results.tsv
  : >"$results"
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  install_needed
  build_programs
  load=$BUILD/tests/bench/sluice_load
  if [[ ! -x $BUILD/sluice ]]; then
    say "no $BUILD/sluice: the peers alone"
    TARGETS=$(printf '%s' "$TARGETS" | sed 's/sluice\(-again\)\?//g')
  fi
  ulimit -Sn "$(ulimit -Hn)"
  files=$(ulimit -n)
  [[ $files == unlimited ]] && files=1000000
  ((files <= 100000)) || files=100000
  make_credentials

  taskset -c "$load_cpu" "$BUILD/tests/bench/sluice_echo" --port "$echo_port" 2>"$work/echo.out" &
  started $!
  wait_for_port $! "$echo_port" echo
  taskset -c "$load_cpu" "$BUILD/tests/bench/sluice_echo" --port "$flood_port" --mode flood 2>"$work/flood.out" &
  started $!
  wait_for_port $! "$flood_port" flood
  taskset -c "$load_cpu" "$BUILD/tests/bench/sluice_echo" --port "$tcp_port" --mode tcp 2>"$work/tcp.out" &
  started $!
  wait_for_port $! "$tcp_port" tcp

  say "about $(estimate) minutes"
  versions
  for section in "${sections[@]}"; do "run_$section"; done
}

main "$@"
