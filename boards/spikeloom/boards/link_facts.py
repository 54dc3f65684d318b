"""What a host must know of a build to talk to it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from amaranth.hdl import Shape

from spikeloom.reference.maps import Shape as ArrayShape
from spikeloom.reference.memory_map import Layout
from spikeloom.rtl_gen.link.linked import identity, weight_width
from spikeloom.rtl_gen.link.monitor import potential_bytes
from spikeloom.rtl_gen.network import NetworkTop

__all__ = ["LinkFacts", "Rows"]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """How the potentials of a population lie.

    Attributes
    ----------
    name
        The population's.
    shape, lanes
        As :class:`~spikeloom.reference.memory_map.Layout`'s.
    """

    name: str
    shape: ArrayShape
    lanes: int

    @property
    def layout(self) -> Layout:
        """Where each neuron is."""
        return Layout(self.shape, self.lanes)


@dataclass(frozen=True, kw_only=True)
class LinkFacts:
    """What a host must know of a build.

    Attributes
    ----------
    identity
        What the device says of itself, in hexadecimal.
    inputs, outputs
        Shapes of what goes in and comes out.
    most_in, least_in, most_out
        The largest and the least value of an input in a step, and the largest count of an output.
    room
        Bits of an event below its kind at least.
    input, output
        Names of what goes in and comes out.
    fraction_bits
        Places behind the binary point, where integers that go in stand for real numbers.
    populations
        In the network's order.
    lanes, potential_bytes
        Lanes of the widest population, and bytes of a potential.
    spi
        Whether the line is SPI.
    baud
        Bits a second of an asynchronous line.
    flash
        Whether the device loads its weights from its flash.
    """

    identity: str
    inputs: ArrayShape
    outputs: ArrayShape
    most_in: int
    least_in: int
    most_out: int
    room: int
    input: str
    output: str
    fraction_bits: int
    populations: tuple[Rows, ...]
    lanes: int
    potential_bytes: int
    spi: bool = False
    baud: int = 1_000_000
    flash: bool = False

    @classmethod
    def of(cls, top: NetworkTop, *, monitor: bool, spi: bool, baud: int, flash: bool) -> Self:
        """Facts of a network of one input and one output."""
        network = top.network
        ((name, entry),) = network.inputs.items()
        ((output, source),) = network.outputs.items()
        least, most = network.sent(name)
        row = top.probe_o.p.shape()
        return cls(
            identity=identity(top, monitor).hex(),
            inputs=tuple(entry.shape),
            outputs=tuple(network.shape(source)),
            most_in=most,
            least_in=least,
            most_out=network.sent(source)[1],
            room=weight_width(top),
            input=name,
            output=output,
            fraction_bits=entry.fraction_bits,
            populations=tuple(
                Rows(name=name, shape=tuple(each.population.shape), lanes=each.lanes)
                for name, each in zip(network.populations, top.populations, strict=True)
            ),
            lanes=row.length,
            potential_bytes=potential_bytes(Shape.cast(row.elem_shape).width),
            spi=spi,
            baud=baud,
            flash=flash,
        )

    @property
    def loads(self) -> bool:
        """Whether weights are loaded."""
        return bool(bytes.fromhex(self.identity)[1] & 1)

    @property
    def monitor(self) -> bool:
        """Whether potentials and counters can be read."""
        return bool(bytes.fromhex(self.identity)[1] & 2)

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ValueError
            If there is no such file, or it is another.
        """
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            rows = [
                Rows(**{**each, "shape": tuple(each["shape"])}) for each in facts["populations"]
            ]
            shapes = {name: tuple(facts[name]) for name in ("inputs", "outputs")}
            return cls(**{**facts, **shapes, "populations": tuple(rows)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path.parent} must be a folder that `spikeloom build` wrote, but {error!r}"
            ) from None
