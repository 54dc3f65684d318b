"""What a host must know of a build to talk to it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from amaranth.hdl import Shape

from spikeloom.boards.top import HostLink
from spikeloom.reference.maps import Shape as ArrayShape
from spikeloom.reference.memory_map import Layout
from spikeloom.rtl_gen.link.linked import EventNetwork, identity, weight_bytes, weight_width
from spikeloom.rtl_gen.link.monitor import potential_bytes
from spikeloom.rtl_gen.network import NetworkTop

__all__ = ["IDENTITY_BYTES", "LINK", "WEIGHTS", "LinkFacts", "Rows", "host_files"]

IDENTITY_BYTES = 16
"""Bytes of an identity; text follows."""

LINK = "link.json"
"""File of a build with what a host must know of it."""

WEIGHTS = "weights.bin"
"""File of a build with what a host sends before all events, where the bitstream cannot hold all
weights."""


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
    most_in, least_in, most_out, least_out
        The largest and the least value of an input in a step, and of an output.
    clips
        Whether what goes in is clipped to its range, where other inputs refuse what is outside.
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

    Raises
    ------
    ValueError
        If the identity is too short, or a size or a value is none.
    """

    identity: str
    inputs: ArrayShape
    outputs: ArrayShape
    most_in: int
    least_in: int
    most_out: int
    least_out: int
    clips: bool
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

    def __post_init__(self) -> None:
        if len(bytes.fromhex(self.identity)) < IDENTITY_BYTES:
            raise ValueError(
                f"identity must have at least {IDENTITY_BYTES} bytes, not {self.identity!r}"
            )
        numbers = [self.lanes, self.potential_bytes, self.baud, *self.inputs, *self.outputs]
        for each in self.populations:
            numbers += [each.lanes, *each.shape]
        if not all(isinstance(each, int) and each > 0 for each in numbers):
            raise ValueError(f"sizes must be positive integers, not {numbers}")
        for least, most in ((self.least_in, self.most_in), (self.least_out, self.most_out)):
            if not (isinstance(least, int) and isinstance(most, int) and least <= 0 < most):
                raise ValueError(f"values must be from at most 0 to above, not {least} to {most}")

    @classmethod
    def of(cls, top: NetworkTop, link: HostLink, baud: int) -> Self:
        """Facts of a network of one input and one output."""
        network = top.network
        ((name, entry),) = network.inputs.items()
        ((output, source),) = network.outputs.items()
        least, most = network.sent(name)
        least_out, most_out = network.sent(source)
        row = top.probe_o.p.shape()
        return cls(
            identity=identity(top, link.monitor).hex(),
            inputs=tuple(entry.shape),
            outputs=tuple(network.shape(source)),
            most_in=most,
            least_in=least,
            most_out=most_out,
            least_out=least_out,
            clips=entry.clips,
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
            spi=link.spi,
            baud=baud,
            flash=link.flash,
        )

    @property
    def loads(self) -> bool:
        """Whether weights are loaded."""
        return bool(bytes.fromhex(self.identity)[1] & 1)

    @property
    def monitor(self) -> bool:
        """Whether potentials and counters can be read."""
        return bool(bytes.fromhex(self.identity)[1] & 2)

    @property
    def parity(self) -> bool:
        """Whether weights have a parity."""
        return bool(bytes.fromhex(self.identity)[1] & 4)

    @property
    def ecc(self) -> bool:
        """Whether states are stored in a code."""
        return bool(bytes.fromhex(self.identity)[1] & 8)

    def text(self) -> str:
        """They, as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`text` wrote.

        Raises
        ------
        ValueError
            If there is no such file, or it is another.
        """
        wrong = f"{path.parent} must be a folder that `spikeloom build` wrote, but"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            rows = [
                Rows(**{**each, "shape": tuple(each["shape"])}) for each in facts["populations"]
            ]
            shapes = {name: tuple(facts[name]) for name in ("inputs", "outputs")}
            return cls(**{**facts, **shapes, "populations": tuple(rows)})
        except OSError as error:
            raise ValueError(f"{wrong} {error}") from None
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{wrong} its {path.name} is damaged or of another version") from None


def host_files(network: EventNetwork, link: HostLink, baud: int) -> dict[str, bytes]:
    """Files that a host needs beside the bitstream, by their names; none of what is no network.

    Parameters
    ----------
    network
        What computes.
    link
        How the host gets at it.
    baud
        Bits a second of the serial line.
    """
    if not isinstance(network, NetworkTop):
        return {}
    files = {LINK: LinkFacts.of(network, link, baud).text().encode()}
    if weights := weight_bytes(network):
        files[WEIGHTS] = weights
    return files
