"""Posts one event with each of the official signing libraries: post.py URL SECRET."""

import datetime
import json
import sys
import urllib.request

import standardwebhooks.webhooks
import svix.webhooks

url, secret = sys.argv[1:]
now = datetime.datetime.now(tz=datetime.timezone.utc)
for name, library, prefix in [
    ("python-svix", svix.webhooks, "svix"),
    ("python-standardwebhooks", standardwebhooks.webhooks, "webhook"),
]:
    data = {"id": name, "email": "zoë@example.com", "name": "Zoë 名前 ✓"}
    body = json.dumps({"type": "user.created", "data": data}, ensure_ascii=name.endswith("svix"))
    message = "msg_" + name
    headers = {
        prefix + "-id": message,
        prefix + "-timestamp": str(int(now.timestamp())),
        prefix + "-signature": library.Webhook(secret).sign(message, now, body),
        "content-type": "application/json",
    }
    request = urllib.request.Request(url, body.encode(), headers)
    print(name, urllib.request.urlopen(request).status)
