import pytest

from spikeloom.sim.check import first_difference


def test_equal_words_pass_whatever_their_spelling():
    assert first_difference({"o": ["00a", "F", "0"]}, {"o": [10, 15, 0]}) == ""


@pytest.mark.parametrize(
    ("seen", "expected", "message"),
    [
        (["1", "2"], [1, 3], "word 1 of o must be 3, but is 2 (2 words came out, 2 must)"),
        (["1"], [1, 3], "word 1 of o must be 3, but is nothing (1 words came out, 2 must)"),
        (["1", "2"], [1], "word 1 of o must be nothing, but is 2 (2 words came out, 1 must)"),
        (["1x"], [16], "word 0 of o must be 10, but is 1x (1 words came out, 1 must)"),
    ],
)
def test_a_difference_is_named(seen, expected, message):
    assert first_difference({"o": seen}, {"o": expected}) == message


def test_the_stream_is_named():
    seen = {"o_0": ["1", "2"], "o_1": ["3"], "probe_o": []}
    assert first_difference(seen, {"o_0": [1, 2], "o_1": [3], "probe_o": []}) == ""
    swapped = {"o_0": [1, 2], "o_1": [4], "probe_o": [5]}
    assert first_difference(seen, swapped).startswith("word 0 of o_1 must be 4, but is 3")


def test_a_wrong_word_goes_before_a_missing_one():
    found = first_difference({"o_0": ["1"], "o_1": ["3"]}, {"o_0": [1, 2], "o_1": [4, 5]})
    assert found.startswith("word 0 of o_1 must be 4, but is 3")
    found = first_difference({"o_0": ["1"], "o_1": []}, {"o_0": [1, 2], "o_1": [4]})
    assert found.startswith("word 1 of o_0 must be 2, but is nothing")
