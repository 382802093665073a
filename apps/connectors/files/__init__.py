"""Files in a confined folder: CSV, JSON, JSON Lines, XLSX, gzip."""

from apps.connectors.files.connector import FilesConnector

__all__ = ["FilesConnector"]
