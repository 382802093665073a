"""The e-mail connector: one message for each record, or one for each page."""

from apps.connectors.email_messages.connector import EmailConnector

__all__ = ["EmailConnector"]
