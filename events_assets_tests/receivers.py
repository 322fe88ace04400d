"""Servers on loopback that take what is sent to them, and count it: SMTP, and HTTP posts."""

import json
import socketserver
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler
from typing import Any

from events_assets_tests.conftest import ROOT

CERTIFICATE = ROOT / "events_assets_tests" / "data" / "loopback.pem"
"""For 127.0.0.1, signed by itself, with its key."""


class Server(socketserver.ThreadingTCPServer):
    """What it takes is in `received`, and who logged in in `logins`."""

    daemon_threads = True
    allow_reuse_address = True
    with_tls = False
    refused: str | None = None
    status = 200

    def __init__(self, handler: type[socketserver.BaseRequestHandler], **options: Any) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.received: list[Any] = []
        self.logins: list[str] = []
        self.connections = 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(CERTIFICATE)
        vars(self).update(options)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def finish_request(self, request: Any, address: Any) -> None:
        self.connections += 1
        if self.with_tls:
            with self.context.wrap_socket(request, server_side=True) as encrypted:
                super().finish_request(encrypted, address)
        else:
            super().finish_request(request, address)

    def handle_error(self, request: Any, address: Any) -> None:
        """Who asked went away."""


class Smtp(socketserver.StreamRequestHandler):
    server: Server

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self) -> None:
        self.say("220 here")
        self.offer = "250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN"
        while words := self.rfile.readline().decode().split():
            self.obey(words)

    def obey(self, words: list[str]) -> None:
        match words:
            case ["STARTTLS"]:
                self.say("220 go on")
                self.request = self.server.context.wrap_socket(self.request, server_side=True)
                self.setup()
            case ["ehlo", _]:
                self.say(self.offer)
            case ["AUTH", "PLAIN", token]:
                self.server.logins.append(b64decode(token).decode().strip("\0").replace("\0", ":"))
                self.say("235 welcome")
            case ["rcpt", to] if self.server.refused and self.server.refused in to:
                self.say("550 nobody here")
            case ["data"]:
                self.say("354 go on")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                self.server.received.append(
                    message_from_bytes(b"".join(lines), policy=policy.default)
                )
                self.say("250 taken")
            case ["QUIT" | "quit"]:
                self.say("221 bye")
            case _:
                self.say("250 fine")

    def finish(self) -> None:
        super().finish()
        self.request.close()


class Http(BaseHTTPRequestHandler):
    server: Server  # type: ignore[assignment]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status < 300:
            self.server.received.append(json.loads(body))
        self.answer(f"you asked for {self.path}".encode())

    def do_GET(self) -> None:
        self.server.received.append(self.path)
        self.answer(b'{"data": [], "total": 0}')

    def answer(self, body: bytes) -> None:
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def receiving(handler: type[socketserver.BaseRequestHandler], **options: Any) -> Iterator[Server]:
    with Server(handler, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def text_of(mail: EmailMessage) -> str:
    return str(mail.get_content())
