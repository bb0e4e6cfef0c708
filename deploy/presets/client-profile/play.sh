#!/usr/bin/env bash
# What the history alone does not show: the users who were there before Rollcall, a customer who is completed later, and
# the ERP's caches. Can be run again.
# shellcheck disable=SC2154
# (SC2154: rollcall, psql and config come from whoever runs it, as do the addresses of broker and database.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

rollcall() {
    "$rollcall" --config "$config" "$@"
}

sql=("$psql" "$ROLLCALL__STORE__URL" --no-psqlrc --quiet --set=ON_ERROR_STOP=1)

# The users of the ERP who have no profile yet get one, through a worker as always.
"$rollcall" --config "$config" run &
worker=$!
trap 'kill "$worker"' EXIT
rollcall backfill --query 'SELECT "name" AS user_id, email, full_name, first_name FROM "tabUser"' \
    --exclude Administrator --exclude Guest --apply
trap - EXIT
kill "$worker"
wait "$worker"

# The customer of bea is completed, and her activation, which was refused, comes back; cas has no customer still.
"${sql[@]}" --command="UPDATE \"tabCustomer\" SET mobile_no = '+33 1 00 00 00 02' WHERE \"name\" = 'CUST-00002'"
"$rollcall" --config "$config" run &
worker=$!
trap 'kill "$worker"' EXIT
rollcall dead redrive --event https://erp.example.com/hooks hook-008
trap - EXIT
kill "$worker"
wait "$worker"

# forget: deletes the keys that it reads from the cache.
forget=("${sql[@]}" --command='CREATE TEMPORARY TABLE changed (key text)'
    --command="\\copy changed FROM pstdin WITH (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')"
    --command='DELETE FROM erp_cache USING changed WHERE erp_cache.key = changed.key')

# The ERP has read every profile; then one changes, and whoever follows the announcements clears what is stale.
./clear_caches.py "$ROLLCALL__NATS__URL" "${forget[@]}"
"${sql[@]}" --file=fill_cache.sql
echo '{"subject": "user.updated", "data": {"user_id": "eve", "full_name": "Eve Morrow"}}' | rollcall publish -
rollcall run --drain
./clear_caches.py "$ROLLCALL__NATS__URL" "${forget[@]}"
