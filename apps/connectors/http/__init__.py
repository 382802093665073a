"""HTTP APIs."""

from apps.connectors.http.connector import HttpConnector

__all__ = ["HttpConnector"]
