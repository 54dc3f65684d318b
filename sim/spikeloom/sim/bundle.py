"""A design as a folder: Verilog, sidecar, golden vectors and a ready testbench."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.emit import describe, emit_verilog, header_lines
from spikeloom.rtl_gen.output import whole_folder
from spikeloom.sim.runner import Job, Verdict, simulate
from spikeloom.sim.vectors import Design, Wait, loading, vectors

__all__ = ["Bundle", "write_bundle"]

_TESTBENCH = '''\
"""Testbench of {module}.v under cocotb: golden vectors in, every word out compared.

    spikeloom verify .
"""

from pathlib import Path
from typing import Any

import cocotb
from spikeloom.sim.bench import Bench

FOLDER = Path(__file__).parent


@cocotb.test()
@cocotb.parametrize(
    (("idle", "refuse"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4), (0.4, 0.4)]),
)
async def golden(dut: Any, idle: float, refuse: float) -> None:
    """Every spike and every membrane potential, with idle inputs and refused outputs."""
    bench = Bench(dut, FOLDER, idle=idle, refuse=refuse)
    await bench.start()
    await bench.play()
    await bench.check()


@cocotb.test()
async def reset_in_the_middle(dut: Any) -> None:
    """After a reset in the middle of a step nothing of what was before is left."""
    bench = Bench(dut, FOLDER, refuse=0.4)
    await bench.start()
    await bench.play(bench.vectors.count // 2 + 1)
    await bench.reset()
    await bench.play()
    await bench.check()
'''


def write_bundle(path: Path, top: Design, module: str, profile: str, scenario: Scenario) -> None:
    """Write a design's folder, whole or not at all.

    Parameters
    ----------
    path
        The folder; replaced where it is one of ours.
    top
        The design.
    module
        Name of the top module and of the files.
    profile
        Name of the profile, for header and sidecar.
    scenario
        Stimulus and expectation; small enough for a testbench that wakes at each cycle.

    Raises
    ------
    ValueError
        If the path exists and is not ours, or holds a user's work.
    """
    sidecar = describe(top, module, profile)
    golden = loading(top) + vectors(top, scenario, wait=Wait.STEP, probe=True)
    with whole_folder(path, "generate") as folder:
        verilog = emit_verilog(top, module, header_lines(top, profile))
        (folder / f"{module}.v").write_text(verilog)
        (folder / f"{module}.json").write_text(json.dumps(sidecar, indent=1) + "\n")
        (folder / f"test_{module}.py").write_text(_TESTBENCH.format(module=module))
        golden.save(folder / "vectors")
        scenario.save(folder / "scenario.npz")


@dataclass(frozen=True)
class Bundle:
    """A folder that :func:`write_bundle` wrote.

    Attributes
    ----------
    path
        The folder.
    module
        Name of the top module.
    sidecar
        The design's description.
    """

    path: Path
    module: str
    sidecar: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> "Bundle":
        """Open a design's folder.

        Raises
        ------
        ValueError
            If it is not one; the message says what is missing.
        """
        for candidate in sorted(path.glob("*.json")):
            try:
                sidecar = json.loads(candidate.read_text())
                module = sidecar["module"]
            except (ValueError, KeyError, TypeError):
                continue
            for name in (f"{module}.v", f"test_{module}.py", "vectors"):
                if not (path / name).exists():
                    raise ValueError(f"{path} must hold {name}, but it is missing")
            return cls(path, module, sidecar)
        raise ValueError(f"{path} must be a folder that `spikeloom generate` wrote, but is not")

    def verify(self, simulator: str, seed: int = 1) -> Verdict:
        """Run the folder's testbench in a simulator.

        Raises
        ------
        SimulationError
            If the simulator is missing, refuses the design or crashes.
        """
        return simulate(
            Job(
                simulator=simulator,
                sources=[str((self.path / f"{self.module}.v").resolve())],
                top=self.module,
                module=f"test_{self.module}",
                folder=str(self.path / "sim" / simulator),
                seed=seed,
                python_path=str(self.path.resolve()),
            )
        )
