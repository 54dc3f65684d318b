from dataclasses import replace

import pytest

from spikeloom.reference.loss import SEARCHED, WIDEST, search_precision

NEEDED = {"weight_width": 5, "state_width": 11, "decay_fraction": 7}


def _accuracy(precision):
    return float(all(getattr(precision, name) >= least for name, least in NEEDED.items()))


@pytest.mark.parametrize(
    "words", [SEARCHED, ("state_width", "weight_width"), ("weight_width",), ()]
)
def test_a_search_narrows_the_words_that_it_is_given(words):
    trials = list(search_precision(_accuracy, 1.0, words=words))
    kept = [trial.precision for trial in trials if trial.accuracy == 1.0]
    assert kept[-1] == replace(WIDEST, **{name: NEEDED[name] for name in words})
    seen = [
        name
        for trial in trials
        for name in SEARCHED
        if name not in words and getattr(trial.precision, name) != getattr(WIDEST, name)
    ]
    assert seen == []


def test_wrong_words():
    message = "words must be of weight_width, state_width, decay_fraction, not 'scale'"
    with pytest.raises(ValueError, match=message):
        next(search_precision(_accuracy, 1.0, words=("scale",)))


def test_wrong_least():
    with pytest.raises(ValueError, match=r"accuracy must be at most the 1\.0000"):
        list(search_precision(_accuracy, 1.5))
