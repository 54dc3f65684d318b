"""What a host must know of a build, as a file."""

import json
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from model_device import board, image, sent_potentials, signed, stack

from spikeloom.boards.link_facts import LinkFacts
from spikeloom.rtl_gen.weights import WeightStore


def facts() -> LinkFacts:
    return board(signed(random.Random(3)))[1]


@pytest.mark.parametrize("make", [stack, signed, image, sent_potentials])
def test_round_trip(make: Any, tmp_path: Path) -> None:
    _, own, _ = board(make(random.Random(3)), monitor=True)
    (tmp_path / "link.json").write_text(own.text())
    assert LinkFacts.load(tmp_path / "link.json") == own


def test_of_a_network() -> None:
    own = facts()
    assert (own.inputs, own.outputs) == ((10,), (3,))
    assert (own.least_in, own.most_in, own.least_out, own.most_out) == (-5, 6, 0, 3)
    assert [(each.name, each.shape, each.lanes) for each in own.populations] == [
        ("hidden", (6,), 2),
        ("out", (3,), 2),
    ]
    assert (own.lanes, own.potential_bytes) == (2, 2)
    potentials = board(sent_potentials(random.Random(3)))[1]
    assert (potentials.least_out, potentials.most_out) == (-2048, 2047)


@pytest.mark.parametrize("monitor", [False, True])
@pytest.mark.parametrize("store", [WeightStore.AUTO, WeightStore.SPRAM])
def test_flags(monitor: bool, store: WeightStore) -> None:
    _, own, weights = board(stack(random.Random(3), high=15), monitor=monitor, store=store)
    assert own.monitor == monitor
    assert own.loads == (store is WeightStore.SPRAM) == bool(weights)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"that `spikeloom build` wrote, but .*No such file"):
        LinkFacts.load(tmp_path / "link.json")
    with pytest.raises(ValueError, match=r"that `spikeloom build` wrote, but .*Is a directory"):
        LinkFacts.load(tmp_path)


def changed(**changes: Any) -> str:
    return json.dumps(asdict(facts()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "3", "null", "{}", changed()[:-20], "\N{SNOWMAN}"),
        changed(more=1),
        *(changed(populations=each) for each in (3, [3], [{}], [{"shape": [3]}], {"a": 1})),
        changed(populations=[{"name": "a", "shape": [0], "lanes": 1}]),
        *(changed(identity=each) for each in ("", "0102", "no", 7, None)),
        *(changed(inputs=each) for each in (3, ["3"], [0], [2.5])),
        *(changed(most_in=each) for each in ("9", 0, None)),
        *(changed(lanes=each) for each in (0, -1, "2", None)),
    ],
)
def test_damaged_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "link.json"
    path.write_text(text, encoding="utf-8")
    words = "`spikeloom build` wrote, but its link.json is damaged or of another version"
    with pytest.raises(ValueError, match=words):
        LinkFacts.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=words):
        LinkFacts.load(path)


def test_wrong_facts() -> None:
    with pytest.raises(ValueError, match="identity must have at least 16 bytes, not 'abcd'"):
        replace(facts(), identity="abcd")
    with pytest.raises(ValueError, match="sizes must be positive integers, not "):
        replace(facts(), lanes=0)
    with pytest.raises(ValueError, match="values must be from at most 0 to above, not 1 to 6"):
        replace(facts(), least_in=1)
