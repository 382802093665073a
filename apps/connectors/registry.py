"""The connectors that flows may name. Adding one: write its file, add its line here."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module

from apps.connectors.base import Connector

PLACES = {
    "file": "apps.connectors.files.connector:FilesConnector",
    "sftp": "apps.connectors.files.remote.connector:SftpConnector",
    "s3": "apps.connectors.files.remote.connector:S3Connector",
    "sql": "apps.connectors.sql.connector:SqlConnector",
    "http": "apps.connectors.http.connector:HttpConnector",
    "webhook": "apps.connectors.webhook.connector:WebhookConnector",
    "email": "apps.connectors.email_messages.connector:EmailConnector",
}


class Connectors(MutableMapping[str, type[Connector]]):
    """Kind -> connector, loaded when it is first asked for: with their libraries they are a fifth of every start."""

    def __init__(self, places: dict[str, str]) -> None:
        self._found: dict[str, str | type[Connector]] = {**places}

    def __getitem__(self, kind: str) -> type[Connector]:
        found = self._found[kind]
        if isinstance(found, str):
            module, name = found.split(":")
            self._found[kind] = found = getattr(import_module(module), name)
        return found

    def __setitem__(self, kind: str, connector: type[Connector]) -> None:
        self._found[kind] = connector

    def __delitem__(self, kind: str) -> None:
        del self._found[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


CONNECTORS = Connectors(PLACES)
