"""What is wrong with a text that a person wrote: each mistake with its place, its line and what to do about it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

Path = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: `place` as `steps[2].mapping.price` ("" is the whole text), `line` from 1, 0 where there is none."""

    place: str
    message: str
    hint: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.message}" + (f" ({self.hint})" if self.hint else "")


class MistakesError(ValueError):
    """Something that a person wrote cannot be taken as it is; holds every mistake found, by line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(set(mistakes), key=lambda m: (m.line, m.place, m.message)))
        super().__init__("\n".join(map(str, self.mistakes)))


class DefinitionError(MistakesError):
    """A definition that cannot be applied."""


def place_of(path: Path) -> str:
    """A path in the words of the console: `steps[2].mapping["address.city"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part[:80]}"]'
    return text


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """A hint: the known name that comes closest, else the names there are ("" without any)."""
    names = sorted(known)
    close = get_close_matches(str(name)[:80], names, n=1)
    if close:
        return f"did you mean {close[0]}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"there {'is' if len(names) == 1 else 'are'} {shown}"
