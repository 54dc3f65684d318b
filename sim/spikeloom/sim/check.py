"""The checker: words that came out against words that must."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

__all__ = ["first_difference"]


def first_difference(
    seen: Mapping[str, Sequence[str]], expected: Mapping[str, Sequence[int]]
) -> str:
    """Compare words one by one, stream by stream; a word with an unknown bit equals nothing.

    Parameters
    ----------
    seen
        For each stream its words in hexadecimal, as a simulator writes them.
    expected
        For each stream the golden model's words.

    Returns
    -------
    The first difference, with its stream, its place and both words, or an empty string. A word that
    is wrong goes before one that is missing in another stream: that may have had to wait for it.
    """
    missing = ""
    for stream, golden_words in expected.items():
        words = seen[stream]
        for place, (word, golden) in enumerate(zip_longest(words, golden_words)):
            wanted = "nothing" if golden is None else f"{golden:x}"
            got = "nothing" if word is None else word.lower().lstrip("0") or "0"
            if got == wanted:
                continue
            difference = (
                f"word {place} of {stream} must be {wanted}, but is {got}"
                f" ({len(words)} words came out, {len(golden_words)} must)"
            )
            if word is not None:
                return difference
            missing = missing or difference
            break
    return missing
