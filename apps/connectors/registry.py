"""The connectors that flows may name. Adding one: write its file, add its class here."""

from apps.connectors.base import Connector
from apps.connectors.email_messages import EmailConnector
from apps.connectors.files import FilesConnector
from apps.connectors.files.remote import S3Connector, SftpConnector
from apps.connectors.http import HttpConnector
from apps.connectors.sql import SqlConnector
from apps.connectors.webhook import WebhookConnector

CONNECTORS: dict[str, type[Connector]] = {}


def register(*connectors: type[Connector]) -> None:
    for connector in connectors:
        CONNECTORS[connector.kind] = connector


register(FilesConnector, SftpConnector, S3Connector, SqlConnector, HttpConnector, WebhookConnector, EmailConnector)
