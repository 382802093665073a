"""The zip: the same files make the same bytes, and every name in it is ours."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
"""No moment of ours: when the bundle was made stands in it."""


def packed(files: Iterable[tuple[str, bytes]]) -> bytes:
    memory = BytesIO()
    with ZipFile(memory, "w") as archive:
        for name, content in files:
            entry = ZipInfo(name, BEGINNING_OF_TIME)
            entry.compress_type, entry.external_attr = ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return memory.getvalue()


def unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    with ZipFile(BytesIO(content)) as archive:
        for entry in archive.infolist():
            yield entry.filename, archive.read(entry)
