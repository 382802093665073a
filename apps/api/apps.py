from django.apps import AppConfig

from apps.api import document  # noqa: F401 (the OpenAPI document learns from it how calls are authenticated)


class ApiConfig(AppConfig):
    name = "apps.api"
