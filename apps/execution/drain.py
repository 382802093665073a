"""How a stopping supervisor tells its workers: a file whose presence says "end your page and give your run back".

django-q2's workers ignore SIGTERM while a task runs, so a signal does not reach the page loop; a file does.
"""

import os
from pathlib import Path

VARIABLE = "FLOWMEND_DRAIN_FILE"


def is_asked() -> bool:
    path = os.environ.get(VARIABLE)
    return path is not None and os.path.exists(path)


def ask(path: Path) -> None:
    path.touch()


def withdraw(path: Path) -> None:
    path.unlink(missing_ok=True)
