# shellcheck shell=bash disable=SC2154
# (SC2154: the variables of run.sh.)
#
# A preset: one application's configuration, the SQL of its own tables, a history to show it with, and what must have
# come of it. run.sh sources this; it never runs alone.

# find_preset NAME: sets preset to its folder.
find_preset() {
    local known file
    preset=$top/deploy/presets/$1
    if [[ ! $1 =~ ^[a-z][a-z0-9-]*$ ]] || [ ! -d "$preset" ]; then
        known=$(cd "$top/deploy/presets" && printf '%s ' */)
        die "there is no preset \"$1\"; there are: ${known//\//}"
    fi
    for file in config.toml schema.sql history.jsonl expect.sql; do
        [ -f "$preset/$file" ] || die "the preset $1 has no $file"
    done
}

# preset_sql NAME: a file of the preset, as psql runs it; rows come without headings.
preset_sql() {
    "$pg_bin/psql" "$store_url" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --tuples-only --no-align --file="$preset/$1"
}

# play_preset: the tables, the history and what has to be there afterwards. Fails if anything is not as expected.
play_preset() {
    local wrong counts published name
    name=$(basename "$preset")
    stage="making the tables of $name"
    "$rollcall" --config "$preset/config.toml" migrate >"$run/migrate.log" 2>&1 &&
        preset_sql schema.sql >"$run/schema.log" 2>&1 || {
        show_log "$run/migrate.log"
        show_log "$run/schema.log"
        die "the tables could not be made"
    }
    # Makes the streams, and says what is wrong with the set-up before there is anything to lose.
    with_servers "$rollcall" --config "$preset/config.toml" run --drain >"$run/first.log" 2>&1 || {
        show_log "$run/first.log"
        die "the worker does not run with this preset"
    }
    stage="playing the history of $name"
    published=$("$rollcall" --config "$preset/config.toml" publish "$preset/history.jsonl" --json)
    # Not in a substitution: that would be another shell, which cannot wait for the servers of this one.
    with_servers "$rollcall" --config "$preset/config.toml" run --drain --json >"$run/counts" 2>"$run/worker.log" || {
        show_log "$run/worker.log"
        die "the worker failed"
    }
    counts=$(tail -n 1 "$run/counts")
    if [ -x "$preset/play.sh" ]; then
        with_servers env rollcall="$rollcall" psql="$pg_bin/psql" config="$preset/config.toml" "$preset/play.sh" >&2
    fi
    stage="comparing the tables of $name with what has to be there"
    wrong=$(preset_sql expect.sql)
    if [ ${#json[@]} -gt 0 ]; then
        printf '{"preset":"%s","ok":%s,"published":%s,"counts":%s}\n' \
            "$name" "$([ -z "$wrong" ] && echo true || echo false)" "$published" "$counts"
    fi
    if [ -n "$wrong" ]; then
        say "not as it has to be:"
        # shellcheck disable=SC2001 # every line
        sed 's/^/    /' <<<"$wrong" >&2
        return 1
    fi
    say "$name: everything is as it has to be"
}
