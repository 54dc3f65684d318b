"""Both ends of a serial line in software, written without a look at the hardware's."""

import pytest


@pytest.fixture
def line_levels():
    """A function from bytes to the line's level in each cycle, for any real length of a bit."""

    def levels(data: bytes, bit: float) -> list[int]:
        bits = [b for byte in data for b in (0, *(byte >> k & 1 for k in range(8)), 1)]
        return [bits[int(cycle / bit)] for cycle in range(int(len(bits) * bit))]

    return levels


@pytest.fixture
def line_bytes():
    """A function from the line's level in each cycle to bytes; a wrong stop bit fails."""

    def decode(levels: list[int], bit: int) -> bytes:
        data, cycle = bytearray(), 0
        while 0 in levels[cycle:]:
            start = levels.index(0, cycle)
            middle = [levels[start + k * bit + bit // 2] for k in range(10)]
            assert middle[0] == 0
            assert middle[9] == 1
            data.append(sum(level << k for k, level in enumerate(middle[1:9])))
            cycle = start + 9 * bit + bit // 2
        return bytes(data)

    return decode
