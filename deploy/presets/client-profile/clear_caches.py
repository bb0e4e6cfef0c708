#!/usr/bin/env python3
"""Tells an application which of its cached profiles are out of date.

usage: clear_caches.py NATS_URL COMMAND [ARGUMENT...]

Follows the stream PROFILES with a durable consumer of its own, so that it goes on where it was. COMMAND gets the keys of
the cache on its standard input, one in each line. They are acknowledged when it has ended with 0; otherwise they come
again. Ends when nothing is left; a program that keeps running would ask again instead.

Nothing but Python is needed: the few words of the NATS protocol stand here. With the package nats-py they would be
`await js.pull_subscribe("profile.>", "erp-caches", "PROFILES")`.
"""

import json
import secrets
import socket
import subprocess
import sys
import urllib.parse

STREAM, CONSUMER, BATCH = "PROFILES", "erp-caches", 100


class Broker:
    """As much of the NATS protocol as a consumer needs."""

    def __init__(self, url):
        at = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((at.hostname, at.port or 4222), timeout=30)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()  # what the server says of itself
        login = {"user": at.username, "pass": at.password} if at.username else {}
        options = {"verbose": False, "pedantic": False, "headers": True, "name": CONSUMER, "lang": "python", **login}
        self.inbox = "_INBOX." + secrets.token_hex(16)
        self.socket.sendall(f"CONNECT {json.dumps(options)}\r\nSUB {self.inbox} 1\r\n".encode())

    def send(self, subject, payload, reply=""):
        self.socket.sendall(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def receive(self):
        """Headers, payload, and the subject on which it is acknowledged."""
        while line := self.lines.readline():
            verb, *words = line.decode().split()
            if verb == "PING":
                self.socket.sendall(b"PONG\r\n")
            elif verb == "-ERR":
                sys.exit(line.decode().strip())
            elif verb in ("MSG", "HMSG"):
                sizes = 1 if verb == "MSG" else 2
                head, size = int(words[-2]) if verb == "HMSG" else 0, int(words[-1])
                body = self.lines.read(size + 2)[:-2]
                return body[:head], body[head:], words[2] if len(words) == 3 + sizes else ""
        sys.exit("the broker closed the connection")

    def ask(self, subject, question):
        self.send(f"$JS.API.{subject}", json.dumps(question).encode(), self.inbox)

    def waiting(self):
        """Up to BATCH messages that nobody has acknowledged yet."""
        self.ask(f"CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}", {"batch": BATCH, "expires": 500_000_000})
        messages = []
        while len(messages) < BATCH:
            headers, payload, reply = self.receive()
            if headers.startswith(b"NATS/1.0 4"):  # nothing more for now
                break
            messages.append((payload, reply))
        return messages

    def flush(self):
        self.socket.sendall(b"PING\r\n")
        while (line := self.lines.readline()) and line.strip() != b"PONG":
            pass


def keys(payload):
    """What is cached of a profile, under its old key too where it has another one now."""
    profile = json.loads(payload)
    users = [profile["user_id"], profile.get("old_user_id")] if profile["profile_type"] == "client" else []
    return [f"Client Profile::{user}" for user in users if user]


def main(url, command):
    broker = Broker(url)
    config = {"durable_name": CONSUMER, "ack_policy": "explicit"}
    broker.ask(f"CONSUMER.DURABLE.CREATE.{STREAM}.{CONSUMER}", {"stream_name": STREAM, "config": config})
    error = json.loads(broker.receive()[1]).get("error")
    if error:
        sys.exit(f"no consumer: {error['description']}")
    while messages := broker.waiting():
        stale = {key for payload, _ in messages for key in keys(payload)}
        subprocess.run(command, input="".join(f"{key}\n" for key in sorted(stale)), text=True, check=True)
        for _, reply in messages:
            broker.send(reply, b"+ACK")
    broker.flush()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
