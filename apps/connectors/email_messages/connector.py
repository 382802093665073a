"""The connector of e-mail."""

from time import perf_counter
from typing import Any, ClassVar

from apps.connectors.base import ConnectionConfig, Connector, Options, Ping
from apps.connectors.email_messages.addresses import ANY_DOMAIN
from apps.connectors.email_messages.config import EmailConfig, EmailImportOptions
from apps.connectors.email_messages.message import Composer
from apps.connectors.email_messages.outbox import ConsolePost, FolderPost
from apps.connectors.email_messages.post import Post, SmtpPost
from apps.connectors.email_messages.target import EmailTarget, built
from apps.engine.ports import Batch, Built, Classification, ConnectorError, ErrorSource, Target


class EmailConnector(Connector):
    """Sends by SMTP, or keeps messages in an outbox."""

    kind = "email"
    label = "E-mail"
    Config: ClassVar[type[ConnectionConfig]] = EmailConfig
    ImportOptions: ClassVar[type[Options] | None] = EmailImportOptions

    _post: Post | None = None

    def ping(self) -> Ping:
        begun = perf_counter()
        try:
            self._refuse_any_recipient()
            is_ok, found = True, self._way().check()
        except ConnectorError as error:
            is_ok, found = False, error.message
        finally:
            self.close()
        return Ping(is_ok, self._tried(), found, round((perf_counter() - begun) * 1000))

    def open_import(self, options: Any) -> Target:
        self._refuse_any_recipient()
        return EmailTarget(self.config, options, self._way())

    def build(self, options: Any, batch: Batch) -> Built:
        self._refuse_any_recipient()
        return built(Composer(self.config, options), options.each, batch)

    def close(self) -> None:
        if self._post is not None:
            self._post.close()

    def _way(self) -> Post:
        if self._post is None:
            self._post = self._made()
        return self._post

    def _made(self) -> Post:
        if self.config.delivery == "folder":
            return FolderPost(self.config, self.surroundings)
        return ConsolePost() if self.config.delivery == "console" else SmtpPost(self.config, self.surroundings)

    def _tried(self) -> str:
        config = self.config
        if config.delivery != "smtp":
            return "Look at the outbox"
        signed = f", sign in as {config.user}" if config.user else ""
        return f"Connect to {config.host}:{config.port_number}{signed}; no message is sent"

    def _refuse_any_recipient(self) -> None:
        if ANY_DOMAIN in self.config.allowed_domains and not self.surroundings.any_recipient:
            text = (
                "The allowed domains of this connection are *, but this installation lets no connection write to any "
                "domain. Name the domains, or have the operator set EMAIL_ANY_RECIPIENT=1."
            )
            raise ConnectorError(
                "recipients_unbounded", text, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION
            )
