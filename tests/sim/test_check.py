import pytest

from spikeloom.sim.check import check_words


def test_equal_words_pass_whatever_their_spelling():
    check_words("o", ["00a", "F", "0"], [10, 15, 0])


@pytest.mark.parametrize(
    ("seen", "expected", "message"),
    [
        (["1", "2"], [1, 3], r"word 1 of o must be 3, but is 2"),
        (["1"], [1, 3], r"word 1 of o must be 3, but is nothing \(1 words came out, 2 must\)"),
        (["1", "2"], [1], r"word 1 of o must be nothing, but is 2"),
        (["1x"], [16], r"word 0 of o must be 10, but is 1x"),
    ],
)
def test_a_difference_is_named(seen, expected, message):
    with pytest.raises(AssertionError, match=message):
        check_words("o", seen, expected)
