#!/usr/bin/env bash
# Everything that must hold before a change goes in, and all that .ci/run calls: see usage.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
    cat <<'TEXT'
Checks everything: format, lints, documentation, dependencies, every test on real servers, the demo on
both databases, a storm, every measurement in small, and the demo of every preset.

usage: deploy/test.sh [--no-install]

  --no-install  install nothing; say what is missing instead

Nothing is skipped, with two exceptions that say so in a line of their own: the check of advisories where no database of
them can be had, and cargo-deny where it is not installed (with CI set in the environment it is installed).
TEXT
}

while [ $# -gt 0 ]; do
    case $1 in
        --no-install) may_install=no ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown option $1; deploy/test.sh --help shows all" ;;
    esac
    shift
done
cd "$top"

deny_version=0.20.2
names=()
results=()
seconds=()
notes=()

# step NAME COMMAND…: runs it, whatever became of the others, so that one run shows all that is wrong.
step() {
    local name=$1 begin=$SECONDS result=ok
    shift
    printf '\n== %s\n' "$name"
    "$@" || result="FAILED (exit code $?)"
    names+=("$name")
    results+=("$result")
    seconds+=($((SECONDS - begin)))
}

# note TEXT: a check that could not be made; it is shown where it happens and again at the end.
note() {
    printf 'NOT CHECKED: %s\n' "$1"
    notes+=("NOT CHECKED: $1")
}

install_tools() {
    command -v cargo >/dev/null || die "cargo is missing: Rollcall is built with Rust, see rustup.rs"
    local component
    for component in rustfmt clippy; do
        cargo "${component/rust/}" --version >/dev/null 2>&1 && continue
        command -v rustup >/dev/null || die "cargo ${component/rust/} is missing: install the component $component"
        [ "$may_install" = yes ] || die "the Rust component $component is missing, and --no-install forbids to install it"
        say "installing the Rust component $component"
        rustup component add "$component"
    done
    install_nats nats-server.txt "$tools/bin/nats-server"
    install_nats nats-server-oldest.txt "$tools/nats-server-2.10.26/nats-server"
    install_nats nats-server-newest.txt "$tools/nats-server-2.15.1/nats-server"
    install_smtp
    install_webhook_clients
    find_postgres
    # The tests run on the version that is recommended, not on whatever PATH has.
    export ROLLCALL_NATS_SERVER=$tools/bin/nats-server
    PATH=$PATH:$tools/bin
    if [ -n "${CI:-}" ] && ! cargo deny --version >/dev/null 2>&1; then
        [ "$may_install" = yes ] || die "cargo-deny is missing, and --no-install forbids to install it"
        say "installing cargo-deny $deny_version as target/tools/bin/cargo-deny"
        env -u CARGO_TARGET_DIR cargo install cargo-deny --quiet --locked --version "$deny_version" --root "$tools"
    fi
}

# deny CHECK…: several versions of one crate are a warning only, so they are shown only with something worse.
deny() {
    local log=$top/target/deny.log
    mkdir -p "$top/target"
    if cargo deny --locked "$@" >"$log" 2>&1; then
        tail -n 1 "$log"
    else
        cat "$log"
        return 1
    fi
}

# What a known vulnerability is must be fetched. Not to get it is one thing, a finding in it another.
advisories() {
    local log=$top/target/advisories.log
    if GIT_TERMINAL_PROMPT=0 timeout 60 cargo deny --locked fetch db >"$log" 2>&1; then
        deny check advisories
    elif ! compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/*/" >/dev/null; then
        note "advisories: no advisory database can be had on this machine"
    elif cargo deny --locked --offline check advisories >"$log" 2>&1; then
        note "advisories of today: the database could not be fetched; the copy on this machine has nothing against us"
    else
        cat "$log"
        return 1
    fi
}

dependencies() {
    if ! cargo deny --version >/dev/null 2>&1; then
        note "licences, sources, bans and advisories: cargo-deny is not installed (cargo install cargo-deny --version $deny_version)"
        return
    fi
    deny check bans licenses sources && advisories
}

# Ignored tests are run too: there is no way to be skipped.
tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --locked --all-targets --run-ignored all && cargo test --quiet --locked --doc
    else
        cargo test --locked --all-targets -- --include-ignored && cargo test --quiet --locked --doc
    fi
}

# demo OPTION…: the first command of the README, as a script would use it; on what the tests have built already, since
# another build of everything would take longer than all tests.
demo() {
    local install=() object
    [ "$may_install" = yes ] || install=(--no-install)
    object=$("$top/deploy/run.sh" --once --json --dev "${install[@]}" "$@" | tail -n 1) || return
    case $object in
        '{'*'"ok":true'*'}') ;;
        *)
            printf 'the last line is not the summary of a success: %s\n' "$object"
            return 1
            ;;
    esac
}

# A small storm on what the tests have built already; the large ones are among the tests.
chaos() {
    local install=() object
    [ "$may_install" = yes ] || install=(--no-install)
    object=$("$top/deploy/chaos.sh" --dev --json --events 4000 --faults 20 "${install[@]}" "$@" | tail -n 1) || return
    case $object in
        '{'*'"ok":true'*'}') ;;
        *)
            printf 'the last line is not the report of a success: %s\n' "$object"
            return 1
            ;;
    esac
}

# Every scenario of the measurements, small, on what the tests have built already; its times mean nothing.
bench() {
    local install=() object
    [ "$may_install" = yes ] || install=(--no-install)
    object=$("$top/deploy/bench.sh" --dev --smoke --json "${install[@]}" | tail -n 1) || return
    case $object in
        '{'*'"goals_missed":[]'*'"rows":[{'*) ;;
        *)
            printf 'the last line is not a report: %s\n' "$object"
            return 1
            ;;
    esac
}

install_tools
step "format" cargo fmt --check
step "lints" cargo clippy --locked --all-targets -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
step "dependencies" dependencies
step "tests" tests
step "demo on SQLite" demo
step "demo on PostgreSQL" demo --postgres
step "chaos" chaos
step "measurements" bench
for preset in "$top"/deploy/presets/*/; do
    step "preset $(basename "$preset")" demo --preset "$(basename "$preset")"
done

printf '\n'
failed=0
for index in "${!names[@]}"; do
    printf '%-20s %4d s  %s\n' "${names[index]}" "${seconds[index]}" "${results[index]}"
    [ "${results[index]}" = ok ] || failed=$((failed + 1))
done
[ ${#notes[@]} -eq 0 ] || printf '%s\n' "${notes[@]}"
if [ "$failed" -gt 0 ]; then
    printf '\n%d of %d steps failed (%d s)\n' "$failed" "${#names[@]}" "$SECONDS"
    exit 1
fi
printf '\nall %d steps passed (%d s)\n' "${#names[@]}" "$SECONDS"
