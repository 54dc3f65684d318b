"""The bytes that ``docs/host_protocol.md`` shows are those that are sent."""

import binascii
import re
from pathlib import Path

import pytest

from spikeloom.boards.top import WEIGHTS_ADDRESS
from spikeloom.reference.link_frames import (
    END,
    ESCAPE,
    ESCAPED_END,
    ESCAPED_ESCAPE,
    ESCAPED_FILL,
    FILL,
    MOST_PAYLOAD,
    VERSION,
    Answer,
    Frame,
    FrameReader,
    Order,
    answer_bytes,
    order_bytes,
)

DOCUMENT = (Path(__file__).parents[2] / "docs" / "host_protocol.md").read_text(encoding="utf-8")


def table(header: str) -> list[list[str]]:
    """Cells of the rows of the table that begins with a header."""
    rows = DOCUMENT[DOCUMENT.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def bytes_of(text: str) -> bytes:
    return bytes.fromhex(text.strip("`"))


def test_example() -> None:
    ((kind, number, shown),) = re.findall(
        r"An (\w+) of number (\d+) is `([0-9A-F ]+)`, for example", DOCUMENT
    )
    order = Frame(Order[kind], int(number))
    assert bytes_of(shown) == order_bytes(order)
    assert list(FrameReader(100, orders=True).feed(bytes_of(shown))) == [order]


def test_checksum() -> None:
    ((text, shown),) = re.findall(r"That of the text `(\w+)` is `([0-9A-F ]+)`", DOCUMENT)
    assert bytes_of(shown) == binascii.crc_hqx(text.encode(), 0xFFFF).to_bytes(2)


def test_escapes() -> None:
    """Each in orders as in answers, but for the last, which is one in answers alone."""
    rows = [(bytes_of(meant), bytes_of(sent), where) for meant, sent, where in table("| in the")]
    assert [meant[0] for meant, _, _ in rows] == [END, ESCAPE, FILL]
    assert [sent[1] for _, sent, _ in rows] == [ESCAPED_END, ESCAPED_ESCAPE, ESCAPED_FILL]
    for meant, sent, where in rows:
        assert answer_bytes(Frame(1, 2, meant))[2:-1].startswith(sent)
        in_orders = meant if where.startswith("in answers") else sent
        assert order_bytes(Frame(1, 2, meant))[3:-1].startswith(in_orders)


@pytest.mark.parametrize(("kinds", "header"), [(Order, "| kind | order"), (Answer, "| kind | an")])
def test_kinds(kinds: type[Order | Answer], header: str) -> None:
    shown = {name: kind for kind, name, *_ in table(header) if name != "nothing"}
    assert shown == {each.name: str(each.value) for each in kinds}


def test_numbers() -> None:
    assert DOCUMENT.startswith(f"# The host protocol, version {VERSION}\n")
    assert f"| 0 | version of this protocol, {VERSION} |" in DOCUMENT
    assert f"| payload | 0 to {MOST_PAYLOAD} in orders, any in answers |" in DOCUMENT
    assert f"from\naddress `{WEIGHTS_ADDRESS:X}` on" in DOCUMENT
