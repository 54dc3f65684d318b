"""The host driver against devices on a pseudo-terminal that send what they like."""

import random
import resource
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from malicious_device import MALICE, Hangup, Malice, Silence, Terminal, fuzz_driver
from model_device import Clock, MemoryLine, board, golden, samples, stack

from spikeloom.boards import device as module
from spikeloom.boards.device import Device, DeviceError
from spikeloom.boards.link_facts import LINK
from spikeloom.reference.link_frames import Answer, Frame, answer_bytes


def test_ends_with_an_error_or_right(tmp_path: Path) -> None:
    """``fuzz_driver`` with more of them is for a benchmark."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = fuzz_driver(12 * len(MALICE), tmp_path)
    assert set(ends) <= {"right", "error", "forged"}
    assert ends["error"] > 80
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_good_device_on_a_terminal(tmp_path: Path) -> None:
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    (tmp_path / LINK).write_text(facts.text())
    raster = samples(net, 30, 5)
    with Terminal(Malice(random.Random(0), model, 1 << 40)) as terminal:
        with Device.open(terminal.path, tmp_path, timeout=20) as device:
            assert np.array_equal(device.run(raster), golden(net, raster))
            with pytest.raises(DeviceError, match=r"cannot be opened: .*lock"):
                Device.open(terminal.path, tmp_path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Silence, "did not answer within 0.05 s, 5 times"), (Hangup, "line to the device failed")],
)
@pytest.mark.parametrize("begins", [0, 30])
def test_error_is_clear(kind: type[Malice], begins: int, words: str, tmp_path: Path) -> None:
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    (tmp_path / LINK).write_text(facts.text())
    raster = samples(net, 30, 5)
    with Terminal(kind(random.Random(0), model, begins)) as terminal:
        with pytest.raises(DeviceError, match=words):
            Device.open(terminal.path, tmp_path, timeout=0.05).run(raster)


@pytest.mark.parametrize("kind", ["ticks", "restarts", "bytes"])
def test_endless_events_fill_no_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of kilobytes of them, while results are waited for and while they are not."""
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    line = MemoryLine(model, clock)
    device = Device(line, facts)
    # Modules that are imported at their first use are no memory that a device fills.
    device.run(samples(net, 1, 2))
    one = {
        "ticks": answer_bytes(Frame(Answer.EVENTS, 0, model.o.long(1))),
        "restarts": answer_bytes(Frame(Answer.EVENTS, 0, model.o.long(2))),
        "bytes": b"\x01",
    }[kind]
    flood = one * (4_000 // len(one))
    flooded = 0
    plain = line.read_some

    def read_some() -> bytes:
        nonlocal flooded
        flooded += len(flood)
        clock.now += 0.1
        return plain() + flood

    line.read_some = read_some  # type: ignore[method-assign]
    tracemalloc.start()
    try:
        start = clock.now
        # Ticks behind a restart are what a device without spikes sends.
        with suppress(DeviceError):
            device.run(samples(net, 2, 9))
        line.orders = 0
        with pytest.raises(DeviceError, match="5 times"):
            device.illegal()
        assert flooded > 200_000
        assert clock.now < start + 100
        assert tracemalloc.get_traced_memory()[1] < 150_000
    finally:
        tracemalloc.stop()
