"""Pictures that a member adds to a ticket: known kinds only, named by us."""

from collections.abc import Sequence

MOST_SCREENSHOTS = 5
LARGEST_SCREENSHOT = 2 * 1024 * 1024
FOLDER = "screenshots/"
BEGINNINGS = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff", "gif": b"GIF8"}


class ScreenshotRefused(ValueError):  # noqa: N818 (an answer, not a fault)
    """A file that is no picture, or too much; the message says what to do."""


def named_screenshots(files: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Each picture under the name that it has in the bundle. Raises ScreenshotRefused."""
    if len(files) > MOST_SCREENSHOTS:
        raise ScreenshotRefused(f"A bundle takes {MOST_SCREENSHOTS} screenshots; these are {len(files)}.")
    return [(f"{FOLDER}{number}.{kind_of(*file)}", file[1]) for number, file in enumerate(files, 1)]


def kind_of(name: str, content: bytes) -> str:
    """By how the file begins: a name may say anything."""
    if len(content) > LARGEST_SCREENSHOT:
        raise ScreenshotRefused(f"“{name[:60]}” is larger than {LARGEST_SCREENSHOT >> 20} MB: cut out what matters.")
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    kind = next((kind for kind, beginning in BEGINNINGS.items() if content.startswith(beginning)), "")
    if not kind:
        raise ScreenshotRefused(f"“{name[:60]}” is no picture: PNG, JPEG, GIF or WebP, please.")
    return kind
