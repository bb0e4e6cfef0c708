#!/usr/bin/env bash
# How fast the worker is, beside what the machine could do at best, measured on private servers: see usage.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
Measures throughput, latency, memory and processor time of the worker, each beside a yardstick in the same run, on servers
of its own: a PostgreSQL and a nats-server that sync what they say they have.

usage: deploy/bench.sh [--json] [--scenario NAME]... [--events N] [--smoke] [--svg FILE [--from REPORT]] [--dev]
                       [--no-install]

  --scenario NAME  only this one; may be repeated. created, naive, mixed, duplicates, late, sqlite, latency, memory, batch,
                   workers, growth (default: all)
  --events N       events of the first scenario (default 300000); the others have theirs in proportion
  --smoke          small, each figure once, at most a minute; shows that everything can be measured and judges no times
  --json           print one JSON object, the last line of the output; all else goes to stderr
  --svg FILE       draw the bar chart of the report into this file
  --from REPORT    draw it from this report, a file with such an object, and measure nothing
  --dev            build without optimisation: sooner ready, for --smoke only
  --no-install     install nothing; say what is missing instead

Every figure is the median of three, taken in turns with its yardstick. The report stays as target/bench/report.json. Exit
code 0 when everything was measured; the list goals_missed says which goals were not reached. Figures mean something only
on a machine that does nothing else. Example: deploy/bench.sh --scenario created --events 300000 --json
TEXT
}

events=
scenarios=()
smoke=()
json=()
svg=
from=
release=(--release)
built=release
while [ $# -gt 0 ]; do
    case $1 in
        --events | --scenario | --svg | --from)
            [ $# -gt 1 ] || die "$1 needs a value"
            case $1 in
                --events) events=$2 ;;
                --scenario) scenarios+=(--scenario "$2") ;;
                --svg) svg=$(realpath -m -- "$2") ;;
                --from) from=$(realpath -m -- "$2") ;;
            esac
            shift
            ;;
        --json) json=(--json) ;;
        --smoke) smoke=(--smoke) ;;
        --dev)
            release=()
            built=debug
            ;;
        --no-install) may_install=no ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown option $1; deploy/bench.sh --help shows all" ;;
    esac
    shift
done
if [ -z "$events" ]; then
    events=300000
    [ ${#smoke[@]} -eq 0 ] || events=1500
fi
[[ $events =~ ^[1-9][0-9]{2,7}$ ]] || die "--events needs a whole number from 100 on, not \"$events\""
[ -z "$from" ] || [ -n "$svg" ] || die "--from needs --svg: where the chart goes"
[ -z "$from" ] || [ -f "$from" ] || die "there is no report $from"
[ "$built" = release ] || [ ${#smoke[@]} -gt 0 ] || die "--dev is for --smoke only: times of such a build mean nothing"
cd "$top"

command -v cargo >/dev/null || die "cargo is missing: Rollcall is built with Rust, see rustup.rs"
quiet=()
[ -t 2 ] || quiet=(--quiet)
target=${CARGO_TARGET_DIR:-$top/target}
driver=$target/$built/examples/bench
if [ -n "$from" ]; then
    cargo build "${quiet[@]}" "${release[@]}" --locked --example bench >&2
    exec "$driver" chart "$from" "$svg"
fi
find_nats
find_postgres
say "building rollcall (the first time takes some minutes)"
cargo build "${quiet[@]}" "${release[@]}" --locked --bin rollcall --example bench >&2

folder=$top/target/bench/run-$$
mkdir -p "$folder"
say "bench: $events events; logs in ${folder#"$top"/}"
"$driver" measure --events "$events" --rollcall "$target/$built/rollcall" --nats "$nats" --postgres "$pg_bin" \
    --folder "$folder" "${scenarios[@]}" "${smoke[@]}" "${json[@]}"
mv "$folder/report.json" "$top/target/bench/report.json"
rm -rf "$folder"
[ -z "$svg" ] || "$driver" chart "$top/target/bench/report.json" "$svg"
