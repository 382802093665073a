"""The webhook connector: records that other applications send by HTTP."""

from apps.connectors.webhook.connector import WebhookConnector

__all__ = ["WebhookConnector"]
