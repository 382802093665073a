"""Libraries that only some connectors need: loaded when such a connection is opened, missed with a sentence."""

from importlib import import_module
from types import ModuleType

from apps.engine.ports import Classification, ConnectorError, ErrorSource


def load_extra(module: str, *, library: str, extra: str, what: str) -> ModuleType:
    """The module of ours that imports a library. Raises ConnectorError where the library is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != library:
            raise
        text = f"{what} needs the Python library {library}, which is not installed. "
        text += f"Install it where Flowmend runs: pip install 'flowmend[{extra}]'; then start Flowmend again."
        raise ConnectorError(
            "library_missing", text, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION
        ) from None
