"""Files on other machines: an SFTP server, a bucket of S3 or of a store that speaks like it."""

from apps.connectors.files.remote.connector import S3Connector, SftpConnector

__all__ = ["S3Connector", "SftpConnector"]
