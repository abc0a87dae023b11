#!/usr/bin/env bash
# Builds the fuzz targets and runs each for so many seconds, one after another; fails on the first finding, which then lies
# in build/fuzz/findings/.
#
#   tests/fuzz/run.sh [SECONDS [TARGET...]]      60 seconds, all targets; a target is named as its corpus: ws_framer
set -euo pipefail
cd "$(dirname "$0")/../.."

case "${1:-}" in
  -h|--help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
seconds=${1:-60}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cc; do
    target=$(basename "$source" _fuzz.cc)
    targets+=("$target")
  done
fi

cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -j "$(nproc)" --target "${targets[@]/%/_fuzz}"
mkdir -p build/fuzz/findings
for target in "${targets[@]}"; do
  # What a run finds new is kept beside the build, so that the next one begins there; the seeds in the tree stay as they are.
  mkdir -p "build/fuzz/corpus/$target"
  dictionary=()
  [ -e "tests/fuzz/$target.dict" ] && dictionary=("-dict=tests/fuzz/$target.dict")
  echo "== $target"
  "build/fuzz/tests/fuzz/${target}_fuzz" "-max_total_time=$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$target-" "${dictionary[@]}" \
    "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target"
done
