#!/usr/bin/env bash
# What whoever created a user or asked for a new password gets to know, though no mail server takes anything.
# run.sh calls it with the program and the configuration in rollcall and config.
set -euo pipefail

# told USER WORDS…: the last line of the user's history has all these words.
told() {
    local user=$1 line word
    shift
    line=$("$rollcall" --config "$config" explain "$user" --json | tail -n 1)
    for word in "$@"; do
        case $line in
            *"$word"*) ;;
            *)
                printf '%s is missing in what is told of %s: %s\n' "$word" "$user" "$line" >&2
                exit 1
                ;;
        esac
    done
    printf '%s\n' "$line"
}

told noa@crew.example '"success":true' '"user":"noa@crew.example"' '"email_sent":false' '"email_error":"'
told ada.king@crew.example '"success":true' '"message":"the mail is not sent"' '"email_sent":false' '"error":"'
