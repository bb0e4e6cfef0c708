"""A real mail server for the tests: keeps each mail as it came, and refuses what it is told to refuse.

smtp_server.py FOLDER PORT STARTTLS|IMPLICIT|PLAIN [CERTIFICATE KEY]; with PORT 0 it takes a free one. FOLDER/port says
which; FOLDER/refuse, if it is there, holds the answer to the next mails, such as "550 5.1.1 no such user here".
"""

import asyncio
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder, port, mode = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
count = len(list(folder.glob("*.eml")))


class Handler:
    async def handle_DATA(self, server, session, envelope):
        global count
        refusal = folder / "refuse"
        if refusal.exists():
            return refusal.read_text().strip()
        count += 1
        (folder / f"{count:04}.json").write_text(
            json.dumps(
                {
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "encrypted": session.ssl is not None or mode == "IMPLICIT",
                    "user": session.auth_data.login.decode() if session.auth_data else None,
                }
            )
        )
        (folder / f"{count:04}.part").write_bytes(envelope.original_content)
        (folder / f"{count:04}.part").rename(folder / f"{count:04}.eml")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (b"rollcall", b"open sesame")
    # Not handled: the server itself has to answer that it does not take them.
    return AuthResult(success=known, handled=known, auth_data=data if known else None)


async def main():
    context = None
    if mode != "PLAIN":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
    loop = asyncio.get_running_loop()

    def smtp():
        return SMTP(
            Handler(),
            hostname="localhost",
            tls_context=context if mode == "STARTTLS" else None,
            require_starttls=mode == "STARTTLS",
            authenticator=authenticate,
            auth_required=mode != "PLAIN",
            auth_require_tls=mode == "STARTTLS",
            loop=loop,
        )

    server = await loop.create_server(smtp, "127.0.0.1", port, ssl=context if mode == "IMPLICIT" else None)
    (folder / "port.new").write_text(str(server.sockets[0].getsockname()[1]))
    (folder / "port.new").rename(folder / "port")
    await server.serve_forever()


asyncio.run(main())
