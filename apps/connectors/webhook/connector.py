"""The connector of webhooks: other applications send, an export takes what has arrived."""

from typing import Any, ClassVar

from apps.connectors.base import ConnectionConfig, Connector, Options, Ping
from apps.connectors.webhook.config import WebhookConfig, WebhookExportOptions
from apps.connectors.webhook.source import WebhookSource
from apps.connectors.webhook.verify import signing_key
from apps.engine.ports import ConnectorError, ErrorSource, Source, Window


class WebhookConnector(Connector):
    """Listens: each export step that uses the connection has an address of its own, and this is how it verifies."""

    kind = "webhook"
    label = "Webhook"
    listens = True
    Config: ClassVar[type[ConnectionConfig]] = WebhookConfig
    ExportOptions: ClassVar[type[Options] | None] = WebhookExportOptions

    def ping(self) -> Ping:
        tried = "Check how requests are verified"
        try:
            self._check_secret()
        except ConnectorError as error:
            return Ping(False, tried, error.message)
        return Ping(True, tried, f"Ready: {self._words()} Each flow that uses it shows its own address.")

    def open_export(self, options: Any, window: Window) -> Source:
        self._check_secret()
        if self.surroundings.arrivals is None:
            text = "This export can only be read by a run: requests to its address are kept for the next one."
            raise ConnectorError("no_listener", text, source=ErrorSource.INTERNAL)
        return WebhookSource(self.surroundings.arrivals, options, window)

    def _check_secret(self) -> None:
        """Raises ConnectorError for a secret that no request could be verified with."""
        if self.config.verification == "hmac":
            signing_key(self.config)

    def _words(self) -> str:
        config = self.config
        if config.verification == "none":
            return "requests are taken from whoever knows the address."
        if config.verification == "token":
            return f"requests must bring the token in the header {config.header_name}."
        signed = f"requests must be signed (HMAC {config.algorithm}) in the header {config.header_name}"
        return f"{signed}, at most {config.tolerance_s} seconds ago." if config.timestamp_header else f"{signed}."
