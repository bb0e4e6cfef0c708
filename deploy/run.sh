#!/usr/bin/env bash
# A small company's year, played through Rollcall on servers of its own: see usage.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=preset.sh
. "$(dirname "${BASH_SOURCE[0]}")/preset.sh"

usage() {
    cat <<'TEXT'
Plays the demo history through Rollcall and shows what came of it.

usage: deploy/run.sh [--once] [--json] [--postgres] [--seed N] [--dev] [--no-install]
       deploy/run.sh --preset NAME [--once] [--json] [--dev] [--no-install]

  --once        end after the summary; exit code 0 only if every number is as expected
  --json        print the summary as one JSON object, the last line of the output; all else goes to stderr
  --postgres    use a private PostgreSQL instead of SQLite
  --seed N      another year of the same company (default 1)
  --preset NAME play the history of deploy/presets/NAME instead, on PostgreSQL
  --dev         build without optimisation: sooner ready, slower at work
  --no-install  install nothing; say what is missing instead

Without --once it keeps serving until Ctrl-C. All it makes is under target/.
TEXT
}

once=no
json=()
database=sqlite
seed=1
preset=
release=(--release)
built=release
while [ $# -gt 0 ]; do
    case $1 in
        --once) once=yes ;;
        --json) json=(--json) ;;
        --postgres) database=postgres ;;
        --dev)
            release=()
            built=debug
            ;;
        --no-install) may_install=no ;;
        --seed)
            [ $# -gt 1 ] || die "--seed needs a number"
            seed=$2
            shift
            ;;
        --seed=*) seed=${1#--seed=} ;;
        --preset)
            [ $# -gt 1 ] || die "--preset needs a name"
            find_preset "$2"
            shift
            ;;
        --preset=*) find_preset "${1#--preset=}" ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown option $1; deploy/run.sh --help shows all" ;;
    esac
    shift
done
[[ $seed =~ ^[0-9]{1,18}$ ]] || die "--seed needs a whole number, not \"$seed\""
[ -z "$preset" ] || database=postgres
config=${preset:-$top}/config.toml
cd "$top"

run=
pg_data=
stopped=no
stage="looking for what is needed"

# The folder that PostgreSQL needed outside of target, and no other.
remove_data() {
    case $1 in
        /tmp/rollcall-pg.*) rm -rf "$1" ;;
    esac
}

# However it ends: the processes first, then their data.
end() {
    local code=$?
    trap - EXIT
    trap '' INT TERM
    end_children
    remove_data "$pg_data"
    if [ "$stopped" = yes ]; then
        say "stopped while $stage"
        [ "$stage" != serving ] || code=0
    elif [ "$code" -ne 0 ] && [ -n "$run" ]; then
        say "failed while $stage (exit code $code); the logs are in ${run#"$top"/}"
    fi
    exit "$code"
}
trap end EXIT
trap 'stopped=yes; exit 130' INT
trap 'stopped=yes; exit 143' TERM

# A folder for this run alone. It stays until the next run, for a look at the logs; what runs at the same time keeps its
# own, which is locked.
make_run_folder() {
    local old
    mkdir -p target/run
    exec 8>target/run/.lock
    flock 8
    for old in target/run/*/; do
        [ -d "$old" ] || continue
        (flock -n 9 && remove_data "$(readlink "$old/postgres-data")" && rm -rf "$old") 9>>"$old/lock" || true
    done
    run=$(mktemp -d "$top/target/run/$database-XXXXXX")
    exec 9>"$run/lock"
    flock 9
    exec 8>&-
}

command -v cargo >/dev/null || die "cargo is missing: Rollcall is built with Rust, see rustup.rs"
find_nats
[ "$database" = sqlite ] || find_postgres

stage="building"
target=${CARGO_TARGET_DIR:-$top/target}
say "building rollcall (the first time takes some minutes)"
quiet=()
[ -t 2 ] || quiet=(--quiet)
examples=(--example demo)
[ -z "$preset" ] || examples=()
cargo build "${quiet[@]}" "${release[@]}" --locked --bin rollcall "${examples[@]}" >&2
rollcall=$target/$built/rollcall
demo=$target/$built/examples/demo

stage="starting the servers"
make_run_folder
declare -A servers=()
start_nats "$run"
servers[$nats_pid]=nats
if [ "$database" = postgres ]; then
    start_postgres "$run"
    servers[$pg_pid]=postgres
else
    store_url=sqlite://$run/rollcall.db
fi
export ROLLCALL__NATS__URL=$nats_url ROLLCALL__STORE__URL=$store_url
(
    umask 077
    printf 'export ROLLCALL__NATS__URL=%q ROLLCALL__STORE__URL=%q\n' "$nats_url" "$store_url" >"$run/env"
)

# ended_by_itself PID CODE
ended_by_itself() {
    local name=${servers[$1]:-a server}
    show_log "$run/$name.log"
    die "$name ended by itself with exit code $2"
}

# with_servers COMMAND…: runs it as long as all servers live; nothing is worth waiting for without one of them.
with_servers() {
    local pid ended code=0
    "$@" &
    pid=$!
    wait -n -p ended "$pid" "${!servers[@]}" || code=$?
    [ "${ended:-}" = "$pid" ] && return "$code"
    ended_by_itself "${ended:-}" "$code"
}

play_year() {
    stage="playing the history"
    "$demo" generate --seed "$seed" --out "$run/messages.jsonl" --books "$run/books.json"
    "$rollcall" --config "$config" migrate >"$run/migrate.log" 2>&1 || {
        show_log "$run/migrate.log"
        die "the tables could not be made"
    }
    start_worker
    say "playing the year of seed $seed: $(wc -l <"$run/messages.jsonl") messages"
    with_servers "$demo" play --nats "$nats_url" --messages "$run/messages.jsonl" --played "$run/played.json"

    stage="comparing the tables with the books"
    with_servers "$demo" check --nats "$nats_url" --store "$store_url" --rollcall "$rollcall" --config "$config" \
        --books "$run/books.json" --played "$run/played.json" "${json[@]}"
}

# start_worker: the worker of this run, until the end.
start_worker() {
    start "$run/worker.log" "$rollcall" --config "$config" run
    servers[$started]=worker
}

if [ -n "$preset" ]; then
    play_preset
    [ "$once" = yes ] || start_worker
else
    play_year
fi

if [ "$once" = no ]; then
    stage="serving"
    cat >&2 <<TEXT
  Still serving, until Ctrl-C:
    broker    $nats_url
    database  ${store_url/:[0-9a-f]*@/:…@}
    logs      ${run#"$top"/}

  Try in another terminal, in this folder:
    . ${run#"$top"/}/env
    ${rollcall#"$top"/} explain ada.moreau
    ${rollcall#"$top"/} dead list
    echo '{"subject": "user.created", "data": {"user_id": "you", "email": "you@example.com"}}' | ${rollcall#"$top"/} publish -

TEXT
    code=0
    wait -n -p ended "${!servers[@]}" || code=$?
    ended_by_itself "$ended" "$code"
fi
