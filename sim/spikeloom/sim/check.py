"""The checker: words that came out against words that must."""

from collections.abc import Sequence
from itertools import zip_longest

__all__ = ["check_words"]


def check_words(port: str, seen: Sequence[str], expected: Sequence[int]) -> None:
    """Compare words one by one; a word with an unknown bit equals nothing.

    Parameters
    ----------
    port
        Name of the port, for the message.
    seen
        Words in hexadecimal, as a simulator writes them.
    expected
        Words of the golden model.

    Raises
    ------
    AssertionError
        If there is a difference; the message tells the first one's place, and both words.
    """
    for place, (word, golden) in enumerate(zip_longest(seen, expected)):
        wanted = "nothing" if golden is None else f"{golden:x}"
        got = "nothing" if word is None else word.lower().lstrip("0") or "0"
        if got != wanted:
            raise AssertionError(
                f"word {place} of {port} must be {wanted}, but is {got}"
                f" ({len(seen)} words came out, {len(expected)} must)"
            )
