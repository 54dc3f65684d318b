"""What the tests of the hardware share: a bench for streams, and random designs.

Test modules are not importable from each other, so all this comes as fixtures.
"""

import random
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, ResetInserter, Signal, Value
from amaranth.sim import Simulator

from spikeloom.reference.dense import FixedDense, fixed_stack
from spikeloom.reference.fixed import Overflow, QFormat, Rounding
from spikeloom.reference.network import FixedNetwork
from spikeloom.reference.neuron_fixed import DecayRule, Emission, NeuronConfig, SynapseConfig
from spikeloom.reference.profile import Compared, Comparison, Order, Reset
from spikeloom.rtl_gen.emit import emit_rtlil
from spikeloom.rtl_gen.inventory import memories, multipliers
from spikeloom.rtl_gen.network import NetworkTop

PATIENCE = 1_000
"""How long a test waits for a word, unless it says otherwise."""


def encode(stream: Any, value: Any) -> int:
    """The bits of a payload that is given by its fields."""
    shape = stream.payload.shape()
    if hasattr(shape, "const"):
        return shape.const(value).as_bits()
    return Const(value, shape).value


@dataclass
class Source:
    """Words to send, and the cycles in which they were accepted."""

    stream: Any
    chance: float
    words: deque[int] = field(default_factory=deque)
    cycles: list[int] = field(default_factory=list)

    def put(self, values: Iterable[Any]) -> None:
        """Append payloads, each an integer or its fields."""
        for value in values:
            word = value if isinstance(value, int) else encode(self.stream, value)
            self.words.append(word)


@dataclass
class Sink:
    """Words received, with their cycles."""

    stream: Any
    chance: float
    words: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)

    def get(self) -> Iterator[Any]:
        """The payloads received, with their fields where they have some."""
        shape = self.stream.payload.shape()
        return (
            shape.from_bits(word) if hasattr(shape, "from_bits") else word for word in self.words
        )


class Bench:
    """Simulates a component; sends and receives at random times, one coroutine a stream.

    A sink asserts of every stream that a valid payload stays as it is until it is accepted.

    Parameters
    ----------
    dut
        The component.
    seed
        Fixes all gaps and all back-pressure.
    patience
        Cycles without a word sent or received after which a test gives up.
    """

    def __init__(self, dut: Any, seed: int = 0, patience: int = PATIENCE) -> None:
        self.dut = dut
        self.seed = seed
        self.patience = patience
        self._reset = Signal()
        self._resetting = False
        self._simulator = Simulator(ResetInserter(self._reset)(dut))
        self._simulator.add_clock(1e-6)
        self._streams: list[Source | Sink] = []
        self._failures: list[str] = []

    def _rng(self, stream: Source | Sink) -> random.Random:
        self._streams.append(stream)
        return random.Random(1000 * self.seed + len(self._streams))

    def source(self, stream: Any, values: Iterable[Any] = (), chance: float = 1.0) -> Source:
        """Send payloads; ``chance`` is that of a cycle without a gap."""
        source = Source(stream, chance)
        source.put(values)
        rng = self._rng(source)

        async def send(ctx: Any) -> None:
            cycle, held = 0, False
            while True:
                if self._resetting:
                    held = False
                elif not held:
                    held = bool(source.words) and rng.random() < source.chance
                ctx.set(stream.valid, held)
                if held:
                    ctx.set(Value.cast(stream.payload), source.words[0])
                _, _, ready = await ctx.tick().sample(stream.ready)
                if held and ready and not self._resetting:
                    source.words.popleft()
                    source.cycles.append(cycle)
                    held = False
                cycle += 1

        self._simulator.add_testbench(send, background=True)
        return source

    def sink(self, stream: Any, chance: float = 1.0) -> Sink:
        """Receive payloads; ``chance`` is that of a cycle in which the sink is ready."""
        sink = Sink(stream, chance)
        rng = self._rng(sink)

        async def receive(ctx: Any) -> None:
            cycle, waiting = 0, None
            while True:
                ready = rng.random() < sink.chance
                ctx.set(stream.ready, ready)
                sampled = ctx.tick().sample(stream.valid, Value.cast(stream.payload))
                _, _, valid, word = await sampled
                if self._resetting:
                    waiting = None
                else:
                    if waiting is not None and not (valid and word == waiting):
                        self._failures.append(f"cycle {cycle}: payload {waiting:#x} was not held")
                    waiting = word if valid and not ready else None
                    if valid and ready:
                        sink.words.append(word)
                        sink.cycles.append(cycle)
                cycle += 1

        self._simulator.add_testbench(receive, background=True)
        return sink

    async def until(self, ctx: Any, condition: Callable[[], bool]) -> None:
        """Let time pass until a condition holds."""
        words, idle = 0, 0
        while not condition():
            self._check()
            await ctx.tick()
            moved = sum(len(stream.cycles) for stream in self._streams)
            words, idle = moved, idle + 1 if moved == words else 0
            if idle == self.patience:
                pytest.fail(f"no word moved in {idle} cycles, seed {self.seed}")

    async def reset(self, ctx: Any, *streams: Source | Sink) -> None:
        """Reset the component for two cycles and forget the words of the given streams."""
        self._resetting = True
        ctx.set(self._reset, 1)
        await ctx.tick().repeat(2)
        ctx.set(self._reset, 0)
        for stream in streams:
            stream.words.clear()
            stream.cycles.clear()
        self._resetting = False

    def run(self, script: Callable[[Any], Awaitable[None]]) -> None:
        """Simulate until the script ends."""
        self._simulator.add_testbench(script)
        self._simulator.run()
        self._check()

    def _check(self) -> None:
        assert not self._failures, f"seed {self.seed}, {self._failures[0]}"

    def receive(self, sink: Sink, number: int, spare: int = 8) -> None:
        """Simulate until so many words have come, and some cycles on."""
        self.run_until(lambda: len(sink.words) >= number, spare)

    def run_until(self, condition: Callable[[], bool], spare: int = 0) -> None:
        """Simulate until a condition holds, and some cycles on."""

        async def script(ctx: Any) -> None:
            await self.until(ctx, condition)
            for _ in range(spare):
                await ctx.tick()

        self.run(script)


@pytest.fixture(scope="session")
def bench() -> type[Bench]:
    """The class of the bench."""
    return Bench


def draw_config(rng: random.Random, size: int, **options: Any) -> NeuronConfig:
    """Any legal configuration, with thresholds low enough to be reached."""
    drawn = {
        "word_length": rng.choice([4, 5, 7, 8, 12, 16, 24, 32]),
        "current_width": rng.choice([2, 4, 6, 9, 13, 20]),
        "decay_rule": rng.choice(list(DecayRule)),
        "decay_fraction": rng.choice([1, 3, 8, 16]),
        "reset": rng.choice([Reset.TO_VALUE, Reset.SUBTRACT, Reset.SUBTRACT, Reset.NONE]),
        "floor": rng.choice([None, None, "drawn"]),
        "refractory_steps": rng.choice([0, 0, 1, 2, 5]),
        "per_neuron": rng.random() < 0.5,
        "synapse": rng.random() < 0.3,
        "emission": Emission.SPIKES,
    } | options
    word = QFormat(
        word_length=drawn["word_length"],
        rounding=drawn.get("rounding", rng.choice(list(Rounding))),
        overflow=drawn.get("overflow", rng.choice(list(Overflow))),
    )
    reset = drawn["reset"]
    # Values of the size of the currents, where the word is wide enough for them.
    half = min(1 << (drawn["current_width"] - 1), -word.min)
    spans = {
        "threshold": (1 if reset is Reset.SUBTRACT else -half, max(1, half - 1)),
        "bias": (-half // 4, half // 4),
        "decay": {
            DecayRule.MULTIPLIER: (0, 1 << drawn["decay_fraction"]),
            DecayRule.SHIFT: (0, rng.choice([3, 31])),
            DecayRule.CONSTANT: (-half // 4, half // 4),
            DecayRule.NONE: (0, 0),
        }[drawn["decay_rule"]],
        "v_reset": (-half, half - 1),
        "v_init": (-half, half - 1),
        "floor": (-half, 0),
    }

    def values(name: str) -> int | tuple[int, ...]:
        if drawn["per_neuron"] and rng.random() < 0.7:
            return tuple(rng.randint(*spans[name]) for _ in range(size))
        return rng.randint(*spans[name])

    floor = drawn["floor"]
    order = drawn.get("order", rng.choice(list(Order)))
    return NeuronConfig(
        size=size,
        state=word,
        current_width=drawn["current_width"],
        threshold=drawn.get("threshold", values("threshold")),
        decay_rule=drawn["decay_rule"],
        decay=drawn.get("decay", values("decay")),
        decay_fraction=drawn["decay_fraction"],
        shift_at_least_one=drawn["decay_rule"] is DecayRule.SHIFT and rng.random() < 0.5,
        bias=drawn.get("bias", values("bias")),
        order=order,
        synapse=draw_synapse(rng, size, drawn["per_neuron"]) if drawn["synapse"] else None,
        staged_overflow=order is Order.DECAY_FIRST and rng.random() < 0.15,
        emission=drawn["emission"],
        comparison=drawn.get("comparison", rng.choice(list(Comparison))),
        compared=drawn.get("compared", rng.choice(list(Compared))),
        reset=reset,
        v_reset=values("v_reset"),
        v_init=values("v_init"),
        max_spikes=drawn.get(
            "max_spikes", rng.choice([1, 3, 15]) if reset is Reset.SUBTRACT else 1
        ),
        floor=values("floor") if floor == "drawn" else floor,
        refractory_steps=drawn["refractory_steps"],
    )


def draw_synapse(rng: random.Random, size: int, per_neuron: bool) -> SynapseConfig:
    """Any legal synaptic current."""
    rule = rng.choice(list(DecayRule))
    span = {
        DecayRule.MULTIPLIER: (0, 8),
        DecayRule.SHIFT: (0, 5),
        DecayRule.CONSTANT: (-4, 4),
        DecayRule.NONE: (0, 0),
    }[rule]
    each = tuple(rng.randint(*span) for _ in range(size))
    return SynapseConfig(
        state=QFormat(
            word_length=rng.choice([4, 8, 13, 24]),
            rounding=rng.choice(list(Rounding)),
            overflow=rng.choice(list(Overflow)),
        ),
        decay_rule=rule,
        decay=each if per_neuron else each[0],
        decay_fraction=3,
        shift_at_least_one=rule is DecayRule.SHIFT and rng.random() < 0.5,
        order=rng.choice(list(Order)),
    )


def draw_layer(
    rng: random.Random, inputs: int, size: int, *, max_count: int = 1, **options: Any
) -> FixedDense:
    """A layer of random weights and neurons."""
    width = rng.choice([2, 4, 8])
    half = 1 << (width - 1)
    weight = [[rng.randint(-half, half - 1) for _ in range(size)] for _ in range(inputs)]
    return FixedDense(
        weight=np.array(weight),
        weight_width=width,
        weight_shift=rng.choice([0, 0, 1, 3]),
        max_count=max_count,
        neurons=draw_config(rng, size, **options),
    )


def draw_network(
    rng: random.Random, sizes: list[int], *, max_count: int = 1, **options: Any
) -> FixedNetwork:
    """A stack of random layers; ``sizes`` are the inputs and then the neurons of each."""
    layers: list[FixedDense] = []
    for inputs, size in pairwise(sizes):
        layers.append(draw_layer(rng, inputs, size, max_count=max_count, **options))
        max_count = layers[-1].neurons.max_spikes
    return fixed_stack(tuple(layers), "random")


def draw_raster(
    rng: random.Random, samples: int, steps: int, inputs: int, max_count: int
) -> np.ndarray:
    """Spike counts whose density changes from step to step: silent and full steps occur."""
    raster = np.zeros((samples, steps, inputs), dtype=np.uint8)
    for sample, step in np.ndindex(samples, steps):
        density = rng.choice([0, 0.3, 0.7, 1])
        for k in range(inputs):
            if rng.random() < density:
                raster[sample, step, k] = rng.choice([1, max_count, rng.randint(1, max_count)])
    return raster


@pytest.fixture(scope="session")
def config_of() -> Callable[..., NeuronConfig]:
    """Draws neurons: ``config_of(rng, size, **options)``."""
    return draw_config


@pytest.fixture(scope="session")
def layer_of() -> Callable[..., FixedDense]:
    """Draws a layer: ``layer_of(rng, inputs, size, max_count=..., **options)``."""
    return draw_layer


@pytest.fixture(scope="session")
def network_of() -> Callable[..., FixedNetwork]:
    """Draws a network: ``network_of(rng, sizes, max_count=..., **options)``."""
    return draw_network


@pytest.fixture(scope="session")
def raster_of() -> Callable[..., np.ndarray]:
    """Draws a stimulus: ``raster_of(rng, samples, steps, inputs, max_count)``."""
    return draw_raster


def _memories(module: str) -> Iterator[tuple[int, int, str]]:
    """Width and depth of a module's memories, and what is read of a word that is being written."""
    ports = re.findall(r"cell \$memrd_v2 .*?\n(.*?)\n\s*end\n", module, re.DOTALL)
    lines = r"((?:^\s*attribute .*\n)*)^\s*memory width (\d+) size (\d+) (\S+)"
    for attributes, width, depth, name in re.findall(lines, module, re.MULTILINE):
        (port,) = (each for each in ports if f'MEMID "\\{name}"' in each)
        collision = "NEW" if re.search(r"TRANSPARENCY_MASK \d+'1", port) else "OLD"
        if "no_rw_check" in attributes or "TRANSPARENCY_MASK 0'0" in port:
            collision = "UNMET"
        yield int(width), int(depth), collision


def _check_inventory(top: NetworkTop) -> None:
    """Memories and multipliers that are said to be needed are those of the RTLIL."""
    rtlil = emit_rtlil(top, "top")
    modules = re.split(r"^module ", rtlil, flags=re.MULTILINE)
    built = [found for module in modules for found in _memories(module)]
    needed = [
        (m.width, m.depth, m.collision.name) for p in top.populations for m in memories(p).values()
    ]
    assert sorted(needed) == sorted(built)
    cells = re.findall(r"cell \$mul .*?\n(.*?)\n\s*end\n", rtlil, re.DOTALL)
    widths = [re.findall(r"\\[ABY]_WIDTH (\d+)", cell) for cell in cells]
    factors = [(m.a, m.b, m.product) for p in top.populations for m in multipliers(p)]
    assert sorted(factors) == sorted((int(a), int(b), int(y)) for a, b, y in widths)


@pytest.fixture(scope="session")
def check_inventory() -> Callable[[NetworkTop], None]:
    """Compares what a network is said to need with what it has."""
    return _check_inventory
