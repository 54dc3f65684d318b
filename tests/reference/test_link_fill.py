"""Bytes of a line that never rests, with and without what means nothing."""

from hypothesis import given
from hypothesis import strategies as st

from spikeloom.reference.link_fill import FillReader
from spikeloom.reference.link_frames import Frame, FrameReader, frame_bytes


def test_by_hand() -> None:
    """Fill between any two bytes, in escapes too; an escape in two pieces."""
    reader = FillReader()
    assert reader.feed(bytes.fromhex("FF FF C0 12 FF DB")) == bytes.fromhex("C0 12")
    assert reader.feed(bytes.fromhex("FF FF")) == b""
    assert reader.feed(bytes.fromhex("DE 34 DB FF DC DB")) == bytes.fromhex("FF 34 DB DC")
    assert reader.feed(bytes.fromhex("DD C0")) == bytes.fromhex("DB DD C0")


@given(
    st.lists(st.binary(max_size=40)),
    st.lists(st.integers(0, 3), min_size=1),
    st.integers(1, 9),
)
def test_frames(payloads: list[bytes], gaps: list[int], length: int) -> None:
    """Escaped as in the specification, with any gaps, read in pieces of any length."""
    frames = [Frame(3, k % 16, payload) for k, payload in enumerate(payloads)]
    sent = b"".join(map(frame_bytes, frames)).replace(b"\xff", b"\xdb\xde")
    line = b"".join(bytes([byte]) + b"\xff" * gaps[k % len(gaps)] for k, byte in enumerate(sent))
    fill, reader = FillReader(), FrameReader(1000)
    pieces = (line[k : k + length] for k in range(0, len(line), length))
    assert [each for piece in pieces for each in reader.feed(fill.feed(piece))] == frames
    assert reader.broken == 0
