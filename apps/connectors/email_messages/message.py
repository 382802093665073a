"""Messages made of records: headers that no value can add to, text, HTML, and a CSV file of the records."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from apps.connectors.email_messages.addresses import Address, AddressError, parse_addresses, refuse_foreign
from apps.connectors.email_messages.config import EmailConfig, EmailImportOptions
from apps.connectors.email_messages.html import EscapedTemplate
from apps.connectors.files.encode import csv_cells
from apps.engine.classification import class_of_expression
from apps.engine.expressions import ExpressionError, Scope, compile_template
from apps.engine.ports import Classification, ErrorSource, Failure, Record

Render = Callable[[Record, Scope], object]

POLICY = SMTP.clone(cte_type="7bit")
"""Everything is ASCII on the wire: no server has to know 8BITMIME, and no value can end a line by itself."""
LONGEST_HEADER = 900
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_NO_FILE_NAME = re.compile(r'[/\\:*?"<>|]')


class LetterError(Exception):
    """A record that no message can be made of."""

    def __init__(
        self, code: str, message: str, field: str | None = None, classification: str = Classification.VALUE
    ) -> None:
        super().__init__(message)
        self.failure = Failure(ErrorSource.MAPPING, code, message, classification, field=field)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message ready to be sent: `content` with CRLF line ends, `recipients` in the order of To, Cc, Bcc."""

    message_id: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    content: bytes


class Composer:
    """Makes messages for one step."""

    def __init__(self, config: EmailConfig, options: EmailImportOptions) -> None:
        self.config = config
        self.options = options
        self.sender = config.sender_address
        names = ("to", "cc", "bcc", "reply_to", "subject", "text", "attach_csv")
        self._templates: dict[str, Render] = {name: compile_template(getattr(options, name)) for name in names}
        html = options.html
        self._templates["html"] = EscapedTemplate(html) if options.escape_html else compile_template(html)

    def compose(self, record: Record, rows: Sequence[Record], key: str, scope: Scope) -> Letter:
        """The message about a record; `rows` are what its CSV file holds. Raises LetterError."""
        message = EmailMessage(policy=POLICY)
        recipients = self._address(message, record, scope)
        subject = self._line("subject", record, scope)
        message["Subject"] = subject
        message["Date"] = format_datetime(scope.now)
        message["Message-ID"] = message_id = f"<{key}@{self.sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        self._fill(message, record, rows, scope)
        content = bytes(message)
        if len(content) > self.config.max_bytes:
            text = f"The message has {len(content):,} bytes; the connection allows {self.config.max_mb} MB."
            raise LetterError("too_large", text, classification=Classification.TOO_LARGE)
        specs = tuple(dict.fromkeys(address.spec for address in recipients))
        return Letter(message_id, self.sender.spec, specs, subject, content)

    # --- headers -----------------------------------------------------------------------------------------------------
    def _address(self, message: EmailMessage, record: Record, scope: Scope) -> list[Address]:
        to = self._addresses("to", record, scope)
        if not to:
            raise LetterError("recipient_missing", "The record has no recipient.", "to", Classification.MISSING)
        cc, bcc = self._addresses("cc", record, scope), self._addresses("bcc", record, scope)
        reply_to = self._addresses("reply_to", record, scope, is_recipient=False)
        message["From"] = self.sender.for_header()
        for header, found in (("To", to), ("Cc", cc), ("Reply-To", reply_to)):
            if found:
                message[header] = tuple(address.for_header() for address in found)
        return [*to, *cc, *bcc]

    def _addresses(self, name: str, record: Record, scope: Scope, *, is_recipient: bool = True) -> list[Address]:
        try:
            found = parse_addresses(self._line(name, record, scope, longest=20_000))
            for address in found if is_recipient else ():
                refuse_foreign(address, self.config.allowed_domains)
        except AddressError as error:
            raise LetterError("address_refused", f"{label(name)}: {error}", name) from None
        return found

    def _line(self, name: str, record: Record, scope: Scope, longest: int = LONGEST_HEADER) -> str:
        """The value of a header: one line, whatever the record holds."""
        value = self._rendered(name, record, scope).strip()
        if _CONTROL.search(value):
            text = f"{label(name)} holds a line break or another control character, which no header of a mail may."
            raise LetterError("header_refused", text, name)
        if len(value) > longest:
            raise LetterError("header_refused", f"{label(name)} has more than {longest:,} characters.", name)
        return value

    # --- content -----------------------------------------------------------------------------------------------------
    def _fill(self, message: EmailMessage, record: Record, rows: Sequence[Record], scope: Scope) -> None:
        text, html = self._body("text", record, scope), self._body("html", record, scope)
        if text or not html:
            message.set_content(text)
        if html and text:
            message.add_alternative(html, subtype="html")
        elif html:
            message.set_content(html, subtype="html")
        if self.options.attach_csv:
            name = _NO_FILE_NAME.sub("-", self._line("attach_csv", record, scope, longest=200))
            csv_type: dict[str, Any] = {"maintype": "text", "subtype": "csv", "params": {"charset": "utf-8"}}
            message.add_attachment(self._csv(rows), filename=name or "records.csv", **csv_type)

    def _body(self, name: str, record: Record, scope: Scope) -> str:
        return self._rendered(name, record, scope).replace("\r\n", "\n").replace("\r", "\n")

    def _csv(self, rows: Sequence[Record]) -> bytes:
        """A CSV file that spreadsheets read as UTF-8 and in which no cell is a formula."""
        columns = list(self.options.columns) or list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(csv_cells(dict(zip(columns, columns, strict=True)), columns, defuse=True))
        writer.writerows(csv_cells(row, columns, defuse=True) for row in rows)
        return encoded(text.getvalue(), "attach_csv", "utf-8-sig")

    def _rendered(self, name: str, record: Record, scope: Scope) -> str:
        try:
            value = str(self._templates[name](record, scope))
        except ExpressionError as error:
            kind = class_of_expression(error.kind) or Classification.VALUE
            raise LetterError(f"mapping_{error.kind}", f"{label(name)}: {error}", name, kind) from None
        encoded(value, name)
        return value


def encoded(value: str, name: str, encoding: str = "utf-8") -> bytes:
    try:
        return value.encode(encoding)
    except UnicodeEncodeError:
        text = f"{label(name)} holds half of a character (a lone surrogate), which no mail can."
        raise LetterError("not_writable", text, name) from None


def label(name: str) -> str:
    """What a sentence calls a part of the message."""
    return EmailImportOptions.model_fields[name].title or name
