"""An SMTP server on loopback that keeps every mail, for tests of what people are sent."""

from __future__ import annotations

import email
import email.policy
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import TracebackType
from typing import Self, cast


@dataclass(frozen=True)
class Mail:
    """One mail as it was sent."""

    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    @property
    def html(self) -> str:
        """The HTML part."""
        body = self.message.get_body(("html",))
        return "" if body is None else str(body.get_content())


@dataclass
class MailServer:
    """Speaks as much SMTP (RFC 5321) as Python's own client asks for. A context manager."""

    mails: list[Mail] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingTCPServer(("127.0.0.1", 0), _Session, bind_and_activate=True)
        self._server.daemon_threads = True
        self._server.mails = self.mails  # type: ignore[attr-defined]
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def subjects(self) -> list[str]:
        """Of all mails, in the order in which they came."""
        return [mail.subject for mail in self.mails]


class _Session(StreamRequestHandler):
    def handle(self) -> None:
        recipients: list[str] = []
        self._answer("220 ready")
        for line in self.rfile:
            command = line.decode("latin-1").strip()
            verb = command.upper()[:4]
            if verb == "RCPT":
                recipients.append(command.split("<", 1)[1].split(">", 1)[0])
            if verb == "DATA":
                self._answer("354 go on")
                self._keep(recipients)
                recipients = []
            self._answer("221 bye" if verb == "QUIT" else "250 ok")
            if verb == "QUIT":
                return

    def _keep(self, recipients: list[str]) -> None:
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                break
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        message = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
        mails = cast("list[Mail]", self.server.mails)  # type: ignore[attr-defined]
        mails.append(Mail(tuple(recipients), message))

    def _answer(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")
