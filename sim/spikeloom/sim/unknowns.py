"""Whether a design comes to a known state from whatever it powers up with, and from wherever a
reset strikes.

Icarus runs the design with four values. Nothing has a value at first but the weights and parameters
that are part of the bitstream: no register, whether a reset sets it or not, and no memory that is
written. A word that a memory gives in the very cycle in which it is written is unknown too where
the design has said that it does not use such words.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

from spikeloom.reference.scenario import Scenario
from spikeloom.rtl_gen.emit import describe, emit_rtlil
from spikeloom.rtl_gen.network import NetworkTop
from spikeloom.sim.campaign import Stage, play_stage, reset_stages
from spikeloom.sim.evidence import Evidence, Strength
from spikeloom.sim.playback import MODULE, build_player
from spikeloom.sim.player import player_verilog
from spikeloom.sim.yosys import run_yosys

__all__ = ["check_reset", "write_unknown"]

UNKNOWN = f"{MODULE}.v"

_SCRIPT = f"""read_rtlil source.il
proc
opt_clean
memory_collect
setattr -unset init w:*
setparam -set INIT 1'x r:WR_PORTS>0
setparam -set RD_COLLISION_X_MASK 1'1 a:no_rw_check
write_verilog -noattr {UNKNOWN}
"""


def write_unknown(top: NetworkTop, folder: Path) -> Path:
    """Write the design with nothing known at power-up; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "source.il").write_text(emit_rtlil(top, MODULE))
    run_yosys(_SCRIPT, folder, "unknown")
    return folder / UNKNOWN


def check_reset(
    top: NetworkTop,
    scenario: Scenario,
    folder: Path,
    *,
    resets: int = 100,
    seed: int = 1,
    progress: Callable[[str], None] = lambda words: None,
) -> list[Evidence]:
    """Start a design from the unknown, and reset it at many random moments.

    Parameters
    ----------
    top
        The design.
    scenario
        Its first sample is played, all membrane potentials read before the first step too.
    folder
        Where it is built and run.
    resets
        How many resets there are, a third of them at full speed, another with outputs that are
        refused for long.
    seed
        Of all chance.
    progress
        Is called with words on what is going on.

    Raises
    ------
    SimulationError
        If Icarus or yosys is missing, or refuses the design.
    """
    design = write_unknown(top, folder)
    player = folder / "player.v"
    player.write_text(player_verilog(describe(top, MODULE, "unknown")))
    program = build_player("icarus", [design, player], folder)
    plain, fast, stalled = reset_stages(top, scenario, seed=seed, resets=resets // 3)
    once = replace(plain, name="power-up", manner=replace(plain.manner, resets=0))
    evidence = []
    for stage, statement in (
        (once, "from an unknown state no unknown value gets out behind the reset"),
        (plain, "behind a reset at any moment all comes out as behind the first"),
        (fast, "the same at full speed"),
        (stalled, "the same while outputs are refused for long"),
    ):
        progress(stage.name)
        start = monotonic()
        place = folder / stage.name.replace(" ", "_").replace(",", "")
        stage.vectors.save(place / "vectors")
        difference = stage.difference(play_stage(program, stage, place))
        evidence.append(
            Evidence(
                group="reset",
                name=statement,
                strength=Strength.TESTED,
                passed=not difference,
                detail=difference or _detail(stage),
                repeat=f"seed {seed}",
                seconds=monotonic() - start,
            )
        )
    return evidence


def _detail(stage: Stage) -> str:
    words = f"{stage.vectors.count} words in Icarus, all as the golden model's"
    if not stage.manner.resets:
        return words
    return f"{stage.manner.resets} resets, each within {stage.manner.within} cycles; {words}"
