"""A page that needs nothing else: its frame, and what all pages are made of."""

from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import zip_longest

from spikeloom.cli.markup import Html, tag

__all__ = ["definitions", "render_page", "section", "table"]

_NOTHING_FROM_OUTSIDE = "default-src 'none'; style-src 'unsafe-inline'"


def render_page(title: str, *body: Html | None) -> str:
    """The page. The same parts give the same text on any machine."""
    style = resources.files("spikeloom.cli").joinpath("report.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_NOTHING_FROM_OUTSIDE),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    whole = tag("html", head, tag("body", tag("main", *body)), lang="en")
    return f"<!DOCTYPE html>\n{whole}\n"


def section(title: str, sentence: str, *content: Html | None) -> Html:
    """A heading, a sentence that says what is seen, and what is to be seen."""
    return tag("section", tag("h2", title), tag("p", sentence, class_="what"), *content)


def table(
    titles: list[str], rows: list[list[str]], *, numeric: int, notes: Sequence[str] = ()
) -> Html:
    """A table whose columns from ``numeric`` on hold numbers; on a phone, a list of cards.

    Where a row has a note, it stands below it over the whole width.
    """
    kinds = [None if column < numeric else "number" for column in range(len(titles))]
    head = (tag("th", t, class_=k, scope="col") for t, k in zip(titles, kinds, strict=True))
    body = []
    for row, note in zip_longest(rows, notes, fillvalue=""):
        cells = zip(row, kinds, titles, strict=True)
        body.append(tag("tr", *(tag("td", c, class_=k, data_label=t) for c, k, t in cells)))
        if note:
            body.append(tag("tr", tag("td", note, colspan=str(len(titles))), class_="note"))
    whole = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *body))
    return tag("div", whole, class_="table")


def definitions(entries: Mapping[str, str]) -> Html | None:
    """Names and values in a box."""
    if not entries:
        return None
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in entries.items())
    return tag("dl", *pairs, class_="facts")
