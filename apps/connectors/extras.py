"""Libraries that only some connectors need: loaded when such a connection is opened, missed with a sentence."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from apps.engine.ports import Classification, ConnectorError, ErrorSource


def load_extra(module: str, *, library: str, extra: str, what: str) -> ModuleType:
    """The module of ours that imports a library. Raises ConnectorError where the library is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != library:
            raise
        text = how_to_install(library, extra, what)
        raise ConnectorError(
            "library_missing", text, classification=Classification.CONNECTION, source=ErrorSource.CONNECTION
        ) from None


def missing_extra(*, library: str, extra: str, what: str) -> str:
    """The same sentence for a form that offers the connector; empty where the library is there."""
    return "" if find_spec(library) else how_to_install(library, extra, what)


def how_to_install(library: str, extra: str, what: str) -> str:
    return (
        f"{what} needs the Python library {library}, which is not installed. "
        f"Install it where Flowmend runs: pip install 'flowmend[{extra}]'; then start Flowmend again."
    )
