#!/usr/bin/env bash
# A storm over real processes of our own, and a checker that knows what must be left of it: see usage.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
Publishes events while workers, broker and database are killed, frozen and cut off, and proves that nothing was lost,
nothing came twice and everything is in its place. All servers are private to the run.

usage: deploy/chaos.sh [--events N] [--faults M] [--seed S] [--store postgres|sqlite] [--json] [--sabotage HOW] [--dev]
                       [--keep] [--no-install]

  --events N      distinct events (default 20000); storms of duplicates publish copies on top
  --faults M      faults (default 30)
  --seed S        the same events and the same faults again, at about the same moments (default: a fresh one, printed)
  --store WHICH   postgres with three workers (default), or sqlite with one; what does not exist there is left out
  --json          print one JSON object, the last line of the output; all else goes to stderr
  --sabotage HOW  have the workers break a promise: the run must fail. HOW is ack-before-commit (they acknowledge what is
                  not stored yet) or bury-redelivered (they take a delivery for an attempt). Implies --dev
  --dev           build without optimisation: sooner ready, slower at work
  --keep          keep configuration, logs and journal of a run that succeeded, too
  --no-install    install nothing; say what is missing instead

Exit code 0 only if lost, doubled and misplaced are 0, no worker ended by itself or got stuck, and the run is not void: it
must have had a fault of each kind and, on PostgreSQL, three COMMITs cut in flight of which one had committed and one had
not. Example: deploy/chaos.sh --events 1000000 --faults 1000 --seed 4 --json
TEXT
}

events=20000
faults=30
seed=
store=postgres
json=()
sabotage=()
release=(--release)
built=release
keep=no
while [ $# -gt 0 ]; do
    case $1 in
        --events | --faults | --seed | --store | --sabotage)
            [ $# -gt 1 ] || die "$1 needs a value"
            case $1 in
                --events) events=$2 ;;
                --faults) faults=$2 ;;
                --seed) seed=$2 ;;
                --store) store=$2 ;;
                --sabotage) sabotage=(--sabotage "$2") ;;
            esac
            shift
            ;;
        --json) json=(--json) ;;
        --dev)
            release=()
            built=debug
            ;;
        --keep) keep=yes ;;
        --no-install) may_install=no ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown option $1; deploy/chaos.sh --help shows all" ;;
    esac
    shift
done
[[ $events =~ ^[1-9][0-9]{0,7}$ ]] || die "--events needs a whole number, not \"$events\""
[[ $faults =~ ^[1-9][0-9]{0,5}$ ]] || die "--faults needs a whole number, not \"$faults\""
[ -n "$seed" ] || seed=$((SRANDOM % 1000000000))
[[ $seed =~ ^[0-9]{1,18}$ ]] || die "--seed needs a whole number, not \"$seed\""
[[ $store =~ ^(postgres|sqlite)$ ]] || die "--store is postgres or sqlite, not \"$store\""
if [ ${#sabotage[@]} -gt 0 ]; then
    [[ ${sabotage[1]} =~ ^(ack-before-commit|bury-redelivered)$ ]] ||
        die "--sabotage is ack-before-commit or bury-redelivered, not \"${sabotage[1]}\""
    # A release build cannot be sabotaged.
    release=()
    built=debug
fi
cd "$top"

command -v cargo >/dev/null || die "cargo is missing: Rollcall is built with Rust, see rustup.rs"
find_nats
export ROLLCALL_NATS_SERVER=$nats
postgres=()
if [ "$store" = postgres ]; then
    find_postgres
    postgres=(--postgres "$pg_bin")
fi

say "building rollcall (the first time takes some minutes)"
quiet=()
[ -t 2 ] || quiet=(--quiet)
cargo build "${quiet[@]}" "${release[@]}" --locked --bin rollcall --example chaos >&2
target=${CARGO_TARGET_DIR:-$top/target}

folder=$top/target/chaos/$store-$seed-$$
mkdir -p "$folder"
say "chaos: $events events, $faults faults, seed $seed, $store; logs and journal in ${folder#"$top"/}"
code=0
"$target/$built/examples/chaos" --events "$events" --faults "$faults" --seed "$seed" --store "$store" \
    --rollcall "$target/$built/rollcall" --folder "$folder" "${postgres[@]}" "${sabotage[@]}" "${json[@]}" || code=$?
if [ "$code" -eq 0 ] && [ "$keep" = no ]; then
    rm -rf "$folder"
fi
exit "$code"
