#!/usr/bin/env bash
# People edit their profiles, the identity provider goes on, and a backfill makes the profiles that are missing.
# run.sh calls it with the programs and the configuration in rollcall, psql and config.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
ada=a0000000-0000-4000-8000-000000000001

# As the application does it, under the old name; and what the authentication server will tell below.
"$psql" "$ROLLCALL__STORE__URL" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=ada="$ada" <<'SQL'
UPDATE user_profiles SET display_name = 'Countess', role = 'manager', permissions = '["reports"]'
WHERE user_id = :'ada';
UPDATE auth.users SET email = 'ada@lovelace.example' WHERE id = :'ada';
SQL

# A backfill waits for a worker, which ends with this script, however it ends.
setpriv --pdeathsig TERM -- "$rollcall" --config "$config" run &
worker=$!
trap 'kill "$worker" 2>/dev/null || true' EXIT

printf '%s\n' '{"specversion":"1.0","type":"user.updated","source":"idp://supabase","id":"auth-003",
    "time":"2026-03-02T09:03:00Z","data":{"user_id":"'$ada'","email":"ada@lovelace.example",
    "metadata":{"display_name":"Augusta","role":"user"}}}' | tr -d '\n' |
    "$rollcall" --config "$config" publish -
"$rollcall" --config "$config" backfill --query "$(cat "$here/users.sql")" --exclude-file "$here/exclude.txt" --apply

kill "$worker"
wait "$worker"
