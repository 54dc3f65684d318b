"""HTML that is escaped by construction, and numbers as people read them."""

import math
from collections.abc import Iterable, Sequence
from html import escape

__all__ = [
    "Html",
    "count",
    "decimal",
    "duration",
    "join",
    "listing",
    "percent",
    "tag",
]

_SPACE = "\N{NO-BREAK SPACE}"
_VOID = {"meta"}


class Html(str):
    """Text that is markup already; every other string is escaped where it meets a tag."""

    __slots__ = ()


def join(parts: Iterable[str | None]) -> Html:
    """Markup of the parts, one after the other; ``None`` is left out."""
    return Html("".join(_safe(part) for part in parts if part is not None))


def tag(name: str, /, *children: str | None, **attributes: str | None) -> Html:
    """An element.

    Parameters
    ----------
    name
        Its name.
    children
        Content: markup stays, other strings are escaped, ``None`` is left out.
    attributes
        Values are escaped; ``None`` leaves the attribute out. In names a trailing ``_`` is
        dropped and another one becomes a hyphen.
    """
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(value)}"')
    start = f"<{' '.join(words)}>"
    return Html(start if name in _VOID else f"{start}{join(children)}</{name}>")


def count(value: int) -> str:
    """An integer, its thousands apart."""
    return f"{value:,}".replace("-", "\N{MINUS SIGN}")


def decimal(value: float, digits: int = 3) -> str:
    """A real number to that many significant digits; digits before the point are all kept."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else f"{value}".replace("-", "\N{MINUS SIGN}")
    places = 0
    if value:
        places = digits - 1 - math.floor(math.log10(abs(value)))
    if places > 9:
        return f"{value:.{digits - 1}e}".replace("-", "\N{MINUS SIGN}")
    text = f"{value:,.{max(0, places)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}")


def percent(part: int, whole: int) -> str:
    """A part of a whole."""
    return f"{100 * part / whole:.1f}{_SPACE}%"


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it, from nanoseconds to minutes."""
    if seconds >= 100:
        minutes, rest = divmod(round(seconds), 60)
        return f"{count(minutes)}{_SPACE}min {rest}{_SPACE}s"
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1 or not seconds:
            return f"{decimal(seconds * factor)}{_SPACE}{unit}"
    return f"{decimal(seconds * 1e9)}{_SPACE}ns"


def listing(words: Sequence[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _safe(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)
