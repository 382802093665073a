from django.apps import AppConfig

from apps.core import checks


class CoreConfig(AppConfig):
    name = "apps.core"

    def ready(self) -> None:
        checks.refuse_newcomer_settings()
