"""What a connection to a mail server stores, and what a step that sends may say."""

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from apps.connectors.base import Limits, Options, ReachedConfig
from apps.connectors.email_messages.addresses import Address, AddressError, check_domain, parse_address
from apps.connectors.files.options import RelativeName
from apps.connectors.http.config import check_authority
from apps.engine.expressions import Template

PORTS = {"none": 25, "starttls": 587, "tls": 465}


def check_sender(text: str) -> str:
    if not text.isprintable():
        raise ValueError("The sender is one line of printable text.")
    try:
        parse_address(text)
    except AddressError as error:
        raise ValueError(str(error)) from None
    return text


class EmailConfig(ReachedConfig):
    """A mail server, or a place where messages are put instead of being sent."""

    delivery: Literal["smtp", "folder", "console"] = Field(
        "smtp",
        title="Delivery",
        description="smtp: sent; folder: kept as .eml files in your account's folder; console: shown by the worker.",
    )
    host: str = Field("", max_length=255, title="Host", description="Name or address of the SMTP server.")
    port: int | None = Field(
        None, ge=1, le=65535, title="Port", description="Usual: 587 with STARTTLS, 465 with TLS, 25 without."
    )
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", title="Encryption", description="How the connection is encrypted; the server is always verified."
    )
    user: str = Field("", max_length=255, title="User", description="Name to sign in with; empty: no sign-in.")
    password: SecretStr | None = Field(None, title="Password", description="The user's password.")
    ca: Annotated[str, AfterValidator(check_authority)] = Field(
        "",
        title="Own authority",
        description="Certificates (PEM) of an authority of your own, trusted besides the usual.",
    )
    sender: Annotated[str, AfterValidator(check_sender)] = Field(
        max_length=255, title="Sender", description="The address that messages come from: Orders <orders@example.org>."
    )
    allowed_domains: tuple[Annotated[str, AfterValidator(check_domain)], ...] = Field(
        min_length=1,
        max_length=1000,
        title="Allowed domains",
        description="Only recipients there are written to: example.org, *.example.org; * if the operator allows it.",
    )
    folder: RelativeName = Field(
        "outbox", title="Folder", description="Delivery to a folder: where below your account's folder the files go."
    )
    connect_timeout_s: float | None = Field(
        None,
        gt=0,
        le=300,
        title="Connect time-out (seconds)",
        description="The longest wait for a connection and for the server's greeting; usual: 5.",
    )
    read_timeout_s: float | None = Field(
        None, gt=0, le=600, title="Read time-out (seconds)", description="The longest wait for an answer; usual: 30."
    )
    total_timeout_s: float | None = Field(
        None, gt=0, le=900, title="Deadline (seconds)", description="The longest that one message may take; usual: 60."
    )
    max_mb: int = Field(
        20, ge=1, le=100, title="Largest message (MB)", description="A message that is larger is not sent."
    )

    @model_validator(mode="after")
    def _check_server(self) -> Self:
        if self.delivery == "smtp" and not self.host.strip():
            raise ValueError("Sending by SMTP needs a host.")
        if bool(self.user) != bool(self.password and self.password.get_secret_value()):
            raise ValueError("A user needs a password, and a password a user.")
        if self.user and self.security == "none":
            raise ValueError("A password is only sent over an encrypted connection: choose starttls or tls.")
        return self

    @property
    def port_number(self) -> int:
        return self.port or PORTS[self.security]

    @property
    def sender_address(self) -> Address:
        return parse_address(self.sender)

    @property
    def max_bytes(self) -> int:
        return self.max_mb * 1024 * 1024

    def limits(self, usual: Limits) -> Limits:
        """The bounds of this connection: its own where they are set, else those of the installation."""
        return replace(
            usual,
            connect_s=self.connect_timeout_s or usual.connect_s,
            read_s=self.read_timeout_s or usual.read_s,
            total_s=self.total_timeout_s or usual.total_s,
        )


class EmailImportOptions(Options):
    """What is sent to whom. In page mode templates read `record.records` and `record.count`."""

    each: Literal["record", "page"] = Field(
        "record", title="One message for each", description="record, or page: then record.records holds all of it."
    )
    to: Template = Field(min_length=1, title="To", description="Recipients, by commas: {{ record.email }}.")
    cc: Template = Field("", title="Cc", description="Recipients of a copy.")
    bcc: Template = Field("", title="Bcc", description="Recipients of a copy that the others do not see.")
    reply_to: Template = Field("", title="Reply to", description="Where answers go.")
    subject: Template = Field(min_length=1, title="Subject", description="One line: Order {{ record.id }} is late.")
    text: Template = Field("", title="Text", description="The message as plain text.")
    html: Template = Field("", title="HTML", description="The message as HTML, beside the text or instead of it.")
    escape_html: bool = Field(
        True,
        title="Escape values",
        description="Values in the HTML stand there as text, whatever signs they hold. Off: they may bring HTML.",
    )
    attach_csv: Template = Field(
        "", title="CSV file", description="Name of an attached CSV file with the records: late-orders.csv; empty: none."
    )
    columns: tuple[str, ...] = Field(
        (), title="Columns", description="Fields that the CSV file gets, in this order; empty: all that occur."
    )
    patience_s: int = Field(
        900,
        ge=0,
        le=86_400,
        title="Patience (seconds)",
        description="How long a message that the server puts off is tried again before that becomes an error.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.text or self.html or self.attach_csv):
            raise ValueError("A message needs a text, HTML or a CSV file.")
        if self.columns and not self.attach_csv:
            raise ValueError("The columns are those of a CSV file: give it a name with attach_csv.")
        return self
