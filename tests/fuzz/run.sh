#!/usr/bin/env bash
# Runs a fuzz target with the corpus that is kept: see usage. Not part of CI.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
    cat <<'TEXT'
Feeds a fuzz target until it fails or has had enough. Needs cargo-fuzz and a nightly compiler.

usage: tests/fuzz/run.sh envelope|config [RUNS]

  RUNS  how many inputs (default: 10000000)

example: tests/fuzz/run.sh envelope 100000
TEXT
}

case ${1:-} in
    envelope | config) target=$1 ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac
runs=${2:-10000000}
mkdir -p target/fuzz
# The versions that the project itself is built with.
cp Cargo.lock tests/fuzz/Cargo.lock
tar -xzf tests/fuzz/corpus.tar.gz -C target/fuzz
# No sanitizer: there is no unsafe code here, and without one it is several times faster.
exec cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz/build -s none "$target" "target/fuzz/$target" -- \
    -runs="$runs" -max_len=4096 -seed=1 -dict="tests/fuzz/$target.dict" -print_final_stats=1
