"""The connectors that flows may name. Adding one: write its file, add its class here."""

from apps.connectors.base import Connector

CONNECTORS: dict[str, type[Connector]] = {}


def register(*connectors: type[Connector]) -> None:
    for connector in connectors:
        CONNECTORS[connector.kind] = connector
