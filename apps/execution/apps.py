from django.apps import AppConfig

from apps.execution.processes import guard_forks


class ExecutionConfig(AppConfig):
    name = "apps.execution"

    def ready(self) -> None:
        guard_forks()
