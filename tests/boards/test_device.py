"""The host driver against devices in Python that compute with the golden model."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from general_networks import Make, lines
from model_device import (
    Clock,
    MemoryLine,
    ModelDevice,
    board,
    counts,
    golden,
    image,
    noise,
    samples,
    sent_potentials,
    signed,
    stack,
)

from spikeloom.boards import device as module
from spikeloom.boards.device import Device, DeviceError
from spikeloom.boards.line import SPILine
from spikeloom.boards.link_facts import LINK, WEIGHTS, LinkFacts
from spikeloom.boards.top import HostLink
from spikeloom.reference.fixed import IntArray
from spikeloom.reference.link_frames import Answer, Frame, Order, answer_bytes
from spikeloom.reference.simulate import run_fixed
from spikeloom.rtl_gen.link.linked import weight_bytes
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.rtl_gen.protection import Protection
from spikeloom.rtl_gen.weights import WeightStore


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that only the lines let pass."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.mark.parametrize("make", [stack, signed, counts, image, lines, sent_potentials])
def test_equals_golden_model(make: Make, clock: Clock) -> None:
    net = make(random.Random(3))
    model, facts, _ = board(net)
    line = MemoryLine(model, clock)
    raster = samples(net, 5, 6)
    done: list[int] = []
    with Device(line, facts) as device:
        assert np.array_equal(device.run(raster, done.append), golden(net, raster))
        assert np.array_equal(device.run(raster[2:3]), run_fixed(net, raster[2:3]).output)
        assert not device.illegal()
        assert device.facts is facts
        assert device.about == bytes.fromhex(facts.identity)[16:].decode()
    assert done == [1, 2, 3, 4, 5]
    assert line.closed
    # A line that loses nothing: none came twice, and no second had to pass.
    assert (model.taken[Order.IDENTIFY], model.taken[Order.RESET]) == (3, 1)
    assert clock.now < 1


def test_queue_is_filled_and_never_overflows(clock: Clock) -> None:
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    raster = np.ones((60, 7, 10), dtype=np.uint8)
    with Device(MemoryLine(model, clock), facts) as device:
        assert np.array_equal(device.run(raster), golden(net, raster))
    assert 256 < model.most_used < 512
    assert model.expected == (3 + model.taken[Order.EVENTS]) % 16


def test_samples_of_different_length_as_they_come(clock: Clock) -> None:
    """While there is none at the moment, the results of those before come."""
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    rasters = [samples(net, 1, steps)[0] for steps in (3, 7, 1, 5)]
    given: list[int] = []

    def source() -> Iterator[IntArray | None]:
        for k, each in enumerate(rasters):
            yield each
            while len(given) < k:
                yield None
        # Nobody waits for anything, so this is no silence.
        yield from [None] * 500

    with Device(MemoryLine(model, clock), facts) as device:
        for result, raster in zip(device.stream(source()), rasters, strict=True):
            given.append(len(result))
            assert np.array_equal(result, run_fixed(net, raster[None]).output[0])
    assert given == [3, 7, 1, 5]
    assert clock.now > 4
    assert model.taken[Order.RESET] == 1


@pytest.mark.parametrize("store", [WeightStore.SPRAM, WeightStore.LOADED_BLOCK])
def test_loads_missing_weights(store: WeightStore, clock: Clock) -> None:
    net = stack(random.Random(3), high=15, outputs=40)
    model, facts, weights = board(net, store=store)
    assert len(weights) > 512
    heard: list[tuple[int, int]] = []
    raster = samples(net, 2, 4)

    def opened() -> Device:
        def progress(sent: int, total: int) -> None:
            heard.append((sent, total))

        return Device(MemoryLine(model, clock), facts, weights, progress=progress)

    with opened() as device:
        assert np.array_equal(device.run(raster), golden(net, raster))
    assert model.loads == 1
    assert [sent for sent, _ in heard] == [*range(254, len(weights), 254), len(weights)]
    assert {total for _, total in heard} == {len(weights)}
    with opened() as device:
        # The board is switched off, and on again.
        device.run(raster)
        model.loaded, model.expected = False, None
        model.renew()
        assert np.array_equal(device.run(raster), golden(net, raster))
    assert model.loads == 2
    assert model.most_used < 512


def test_weights_that_stay_missing(clock: Clock) -> None:
    net = stack(random.Random(3), high=15)
    model, facts, weights = board(net, store=WeightStore.SPRAM)
    with pytest.raises(DeviceError, match="weights were still missing when all had been sent, 5"):
        Device(MemoryLine(model, clock), facts, weights[:-2])
    assert clock.now < 10


def test_monitor(clock: Clock) -> None:
    net = image(random.Random(3))
    model, facts, _ = board(net, monitor=True)
    raster = samples(net, 2, 5)
    with Device(MemoryLine(model, clock), facts) as device:
        spikes = device.run(raster)
        expected = run_fixed(net, raster).membrane
        found = device.potentials()
        counted = device.counters()
    assert list(found) == list(expected)
    for name, values in found.items():
        assert np.array_equal(values, expected[name][-1, -1])
        assert values.min() < 0 < values.max()
    assert counted == {
        "events_in": 12 + np.count_nonzero(raster),
        "waits": 7,
        "events_out": 12 + np.count_nonzero(spikes),
        "cycles": 70_000,
    }


def test_no_monitor(clock: Clock) -> None:
    model, facts, _ = board(stack(random.Random(3)))
    device = Device(MemoryLine(model, clock), facts)
    for call in (device.counters, device.potentials):
        with pytest.raises(DeviceError, match="no monitor: build it with --monitor"):
            call()


def test_illegal_event(clock: Clock) -> None:
    model, facts, _ = board(stack(random.Random(3)))
    device = Device(MemoryLine(model, clock), facts)
    model.error = True
    assert device.illegal()
    device.reset()
    assert not device.illegal()


def test_errors_of_guarded_memories(clock: Clock) -> None:
    """Each is a bit of its own; a reset clears it."""
    guards = Protection(parity=True, ecc=True)
    model, facts, _ = board(stack(random.Random(3)), protection=guards)
    device = Device(MemoryLine(model, clock), facts)
    for name, told in (("wrong_weight", [True, False]), ("lost_state", [False, True])):
        setattr(model, name, True)
        assert [device.weight_error(), device.state_error()] == told
        assert not device.illegal()
        device.reset()
        assert [device.weight_error(), device.state_error()] == [False, False]


@pytest.mark.parametrize(("name", "option"), [("weight_error", "parity"), ("state_error", "ecc")])
def test_errors_of_memories_that_are_not_guarded(name: str, option: str, clock: Clock) -> None:
    model, facts, _ = board(stack(random.Random(3)))
    device = Device(MemoryLine(model, clock), facts)
    with pytest.raises(DeviceError, match=f"build it with --{option}"):
        getattr(device, name)()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda own: own[:8] + bytes(8) + own[16:], r"be network [0-9a-f]{16} \(test 10-6-3"),
        (lambda own: own[:8] + bytes(8) + b"\x1b[2J" + b"\xff" * 400, r"is 0{16} \(\?\[2J.{1,200}"),
        (lambda own: b"\x02" + own[1:], "speak version 1 of the protocol, but speaks 2"),
        (lambda own: own[:1] + b"\x02" + own[2:], "the same network, built with other options"),
        (lambda own: own[:9], "at least 16 bytes of identity, not 9"),
        (lambda own: b"", "at least 16 bytes of identity, not 0"),
    ],
)
def test_other_device(change: Callable[[bytes], bytes], words: str, clock: Clock) -> None:
    model, facts, _ = board(stack(random.Random(3)))
    model.identity = change(model.identity)
    line = MemoryLine(model, clock)
    with pytest.raises(DeviceError, match=words) as caught:
        Device(line, facts)
    assert line.closed
    assert str(caught.value).isprintable()
    assert not model.taken[Order.RESET]


def test_wrong_raster(clock: Clock) -> None:
    net = signed(random.Random(3))
    model, facts, _ = board(net)
    device = Device(MemoryLine(model, clock), facts)
    good = samples(net, 2, 3)
    for wrong in (good[0], good[:0], good[:, :, :9], good[..., None], 3, good.reshape(2, 3, 5, 2)):
        with pytest.raises(ValueError, match=r"of shape \(samples, steps, 10\), none 0, not \("):
            device.run(wrong)
    with pytest.raises(TypeError, match="of integers, not of float64"):
        device.run(good * 1.0)
    for value, place in ((7, (0, 0, 0)), (-6, (1, 2, 9)), (2**63 - 1, (0, 1, 1))):
        wrong = good.copy()
        wrong[place] = value
        with pytest.raises(ValueError, match=f"raster must be of -5 to 6, but has {value}$"):
            device.run(wrong)
    with pytest.raises(ValueError, match="has 18446744073709551615"):
        device.run(np.full(good.shape, 2**64 - 1, dtype=np.uint64))
    with pytest.raises(ValueError, match=r"of shape \(steps, 10\)"):
        list(device.stream(iter([good[0], good])))
    assert np.array_equal(device.run(good), golden(net, good))


def test_wrong_timeout(clock: Clock) -> None:
    model, facts, _ = board(stack(random.Random(3)))
    line = MemoryLine(model, clock)
    with pytest.raises(ValueError, match="timeout must be above 0 s, not 0"):
        Device(line, facts, timeout=0)
    assert line.closed


@pytest.mark.parametrize("seed", range(20))
def test_noise(seed: int, clock: Clock) -> None:
    """A byte of a thousand is spoilt, both ways: results are right, or there is an error."""
    rng = random.Random(seed)
    net = rng.choice([stack, signed, image, sent_potentials])(random.Random(3))
    model, facts, _ = board(net, monitor=True)
    raster = samples(net, 8, 4)
    line = MemoryLine(model, clock, noise(rng, 0.001), rng.choice([1, 3, 20]))
    with Device(line, facts) as device:
        for _ in range(2):
            assert np.array_equal(device.run(raster), golden(net, raster))
            assert np.array_equal(
                device.potentials()[next(iter(facts.populations)).name],
                next(iter(run_fixed(net, raster).membrane.values()))[-1, -1],
            )


def test_noise_has_weights_loaded_right(clock: Clock) -> None:
    net = stack(random.Random(3), high=15, outputs=40)
    loads = 0
    for seed in range(10):
        model, facts, weights = board(net, store=WeightStore.SPRAM)
        line = MemoryLine(model, clock, noise(random.Random(seed), 0.0005), 3)
        # The model itself checks each weight.
        Device(line, facts, weights).close()
        loads += model.loads
    assert loads >= 10


def test_much_noise(clock: Clock) -> None:
    """Right, or an error; seldom right."""
    net = stack(random.Random(3))
    ends = {True: 0, False: 0}
    for seed in range(40):
        rng = random.Random(seed)
        model, facts, _ = board(net)
        line = MemoryLine(model, clock, noise(rng, rng.choice([0.01, 0.03, 0.1])))
        raster = samples(net, 3, 5)
        try:
            with Device(line, facts) as device:
                assert np.array_equal(device.run(raster), golden(net, raster))
            ends[True] += 1
        except DeviceError:
            ends[False] += 1
    assert min(ends.values()) > 5


class ScriptedLine(MemoryLine):
    """A line on which a model says more than it should once it has been asked to run."""

    def __init__(self, model: ModelDevice, clock: Clock, script: Callable[[], bytes]) -> None:
        super().__init__(model, clock)
        self.script = script
        self.said = 0

    def read_some(self) -> bytes:
        data = super().read_some()
        if self.device.taken[Order.EVENTS]:
            data += self.script()
        self.clock.now += 0.001
        self.said += len(data)
        return data


def endless() -> dict[str, Callable[[], bytes]]:
    rng = random.Random(5)
    tick = answer_bytes(Frame(Answer.EVENTS, 0, b"\xa0\x00"))
    refused = iter(range(10**9))
    return {
        "bytes": lambda: rng.randbytes(500),
        "no delimiter": lambda: b"\x55" * 5_000,
        "fill": lambda: b"\xff" * 100,
        "ticks": lambda: tick * 9,
        "restarts": lambda: answer_bytes(Frame(Answer.EVENTS, 0, b"\xd0\x00")),
        "refusals": lambda: answer_bytes(Frame(Answer.REFUSED, next(refused) % 16)),
        "answers": lambda: answer_bytes(Frame(Answer.STATUS, rng.randrange(16), b"\x00")),
        "identities": lambda: answer_bytes(Frame(Answer.IDENTITY, 0, bytes(60))),
        "unknown": lambda: answer_bytes(Frame(rng.randrange(7, 16), rng.randrange(16))),
    }


@pytest.mark.parametrize("kind", endless())
def test_endless(kind: str, clock: Clock) -> None:
    """Whatever comes, without end: an error, or the right result, in bounded time and memory."""
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    line = ScriptedLine(model, clock, endless()[kind])
    raster = np.ones((30, 9, 10), dtype=np.int64)
    device = Device(line, facts)
    error = ""
    try:
        assert np.array_equal(device.run(raster), golden(net, raster))
    except DeviceError as caught:
        error = str(caught)
    assert not error or "5 times" in error
    assert clock.now < 200
    assert len(device._reader._held) < 2_000


def test_events_that_end_nothing(clock: Clock) -> None:
    """Ticks for ever, as if they were wanted, to one who waits for a result."""
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    model._event = lambda *event: None  # type: ignore[method-assign]
    forms = [model.o.long(2), model.o.long(1), model.o.long(0, 1, 1) * 3 + model.o.long(1)]
    forms += [model.o.long(2) * 2, model.o.long(0, 1, 1), b"", model.o.long(3), forms[0] + forms[1]]
    for seed in range(60):
        rng = random.Random(seed)
        several = [answer_bytes(Frame(Answer.EVENTS, 0, rng.choice(forms))) for _ in range(4)]
        line = ScriptedLine(model, clock, lambda several=several: b"".join(several))
        model.taken.clear()
        device = Device(line, facts)
        start = clock.now
        with pytest.raises(DeviceError, match="5 times"):
            device.run(samples(net, 2, 30))
        assert clock.now < start + 100


@pytest.mark.parametrize(
    "spikes", [[(3, 1)], [(1, 0)], [(1, 1), (1, 2)]], ids=["address", "count", "twice"]
)
def test_spikes_of_no_neuron(spikes: list[tuple[int, int]], clock: Clock) -> None:
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    device = Device(MemoryLine(model, clock), facts)
    model.o.shape = (4,)
    events = [model.o.long(0, address, count) for address, count in spikes]
    sent = model._send
    model._send = lambda *before: sent(*before[:-1], *events, before[-1])  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="the device's events were wrong"):
        device.run(samples(net, 1, 3))


class SilentLine:
    """A line to nobody; it may echo."""

    def __init__(self, clock: Clock, echo: bool = False) -> None:
        self.clock, self.echo, self.held, self.closed = clock, echo, b"", False

    def write(self, data: bytes) -> None:
        self.held += data * self.echo

    def read_some(self) -> bytes:
        held, self.held = self.held, b""
        self.clock.now += 0.01
        return held

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("timeout", [0.5, 3.0])
def test_silent_device(echo: bool, timeout: float, clock: Clock) -> None:
    _, facts, _ = board(stack(random.Random(3)))
    line = SilentLine(clock, echo)
    words = f"did not answer within {timeout:g} s, 5 times"
    with pytest.raises(DeviceError, match=words):
        Device(line, facts, timeout=timeout)
    assert 5 * timeout <= clock.now < 5 * timeout + 1
    assert line.closed


@pytest.mark.parametrize("of", ["write", "read_some"])
def test_line_that_fails(of: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    line = MemoryLine(model, clock)

    def fail(*_: Any) -> bytes:
        raise OSError(5, "Input/output error")

    device = Device(line, facts)
    monkeypatch.setattr(line, of, fail)
    with pytest.raises(DeviceError, match=r"line to the device failed: .*Input/output error"):
        device.run(samples(net, 2, 3))


@pytest.mark.parametrize("after", range(10))
@pytest.mark.parametrize("cut", [False, True])
def test_interrupt(after: int, cut: bool, clock: Clock) -> None:
    """Interrupted after so many calls of the line, in the middle of a write too."""
    net = image(random.Random(3))
    model, facts, _ = board(net, monitor=True)
    line = MemoryLine(model, clock)
    raster = samples(net, 20, 4)
    left = after
    interrupting = False
    plain = {"write": line.write, "read_some": line.read_some}

    def write(data: bytes) -> None:
        if interrupting and count():
            plain["write"](data[: len(data) // 2 * cut])
            raise KeyboardInterrupt
        plain["write"](data)

    def read_some() -> bytes:
        data = plain["read_some"]()
        if interrupting and count():
            raise KeyboardInterrupt
        return data

    def count() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    line.write, line.read_some = write, read_some  # type: ignore[method-assign, assignment]
    device = Device(line, facts)
    interrupting = True
    with pytest.raises(KeyboardInterrupt):
        device.run(raster)
    interrupting = False
    if after % 2:
        assert not device.illegal()
        assert device.counters()["waits"] == 7
    start = clock.now
    assert np.array_equal(device.run(raster[3:9]), golden(net, raster[3:9]))
    assert clock.now < start + 1


def test_results_left_lying(clock: Clock) -> None:
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    device = Device(MemoryLine(model, clock), facts)
    raster = samples(net, 50, 4)
    expected = golden(net, raster)
    results = device.stream(raster)
    assert np.array_equal(list(islice(results, 2)), expected[:2])
    assert np.array_equal(device.run(raster[7:]), expected[7:])
    with pytest.raises(DeviceError, match="other calls must not come before the last result"):
        next(results)
    assert np.array_equal(device.run(raster), expected)
    # Nor from the samples themselves.
    with pytest.raises(DeviceError, match="other calls must not come before the last result"):
        list(device.stream(with_a_call_between(device, raster)))
    assert np.array_equal(device.run(raster), expected)


def with_a_call_between(device: Device, raster: IntArray) -> Iterator[IntArray]:
    yield raster[0]
    device.run(raster[:1])
    yield raster[1]


@pytest.mark.parametrize("orders", range(1, 20))
def test_late_answers_are_not_taken_for_new_ones(orders: int, clock: Clock) -> None:
    """A device that is away until it is given up, and then answers all orders."""
    net = stack(random.Random(3))
    model, facts, _ = board(net)
    line = MemoryLine(model, clock)
    device = Device(line, facts)
    raster = samples(net, 9, 3)
    for _ in range(orders):
        device.illegal()
    results = device.stream(each for k in range(20) for each in (raster[k % 9], None))
    next(results)
    line.orders = 0
    with pytest.raises(DeviceError, match="5 times"):
        list(results)
    assert len(model.queue) > 15
    line.orders = 3
    assert np.array_equal(device.run(raster), golden(net, raster))


def test_spi_line(clock: Clock) -> None:
    """A transfer gives as many bytes as it takes; fill where the device has nothing to say."""
    net = counts(random.Random(3))
    top = NetworkTop(net, 2, WeightStore.SPRAM)
    facts = LinkFacts.of(top, HostLink(spi=True), 1_000_000)
    model = ModelDevice(top, facts)
    waiting = bytearray()

    def transfer(data: bytes) -> bytes:
        model.feed(bytes(data))
        model.work()
        waiting.extend(model.sent())
        clock.now += 1e-6 * len(data)
        given = bytes(waiting[: len(data)])
        del waiting[: len(data)]
        return given.ljust(len(data), b"\xff")

    raster = samples(net, 4, 5)
    with Device(SPILine(transfer), facts, weight_bytes(top)) as device:
        assert np.array_equal(device.run(raster), golden(net, raster))
    assert model.loads == 1


def test_build_folder(tmp_path: Path) -> None:
    net = stack(random.Random(3), high=15)
    _, facts, weights = board(net, store=WeightStore.SPRAM)
    (tmp_path / LINK).write_text(facts.text())
    with pytest.raises(ValueError, match=f"folder that `spikeloom build` wrote, but .*{WEIGHTS}"):
        Device.open("nowhere", tmp_path)
    (tmp_path / WEIGHTS).write_bytes(weights)
    with pytest.raises(DeviceError, match="no_such_port cannot be opened"):
        Device.open(tmp_path / "no_such_port", tmp_path)
    (tmp_path / LINK).write_text(replace(facts, spi=True).text())
    with pytest.raises(ValueError, match="must have a serial line, but has SPI: give Device a SPI"):
        Device.open("nowhere", tmp_path)
