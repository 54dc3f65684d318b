from pathlib import Path

import pytest

from spikeloom.sim.formal.proof import Outcome, Proof
from spikeloom.sim.formal.runner import run_proof
from spikeloom.sim.formal.tools import find_prover


@pytest.fixture
def prove(tmp_path: Path):
    """A function that runs a proof; skips where the prover is not installed."""
    tool = find_prover()
    if tool.found is None:
        pytest.skip(f"{tool.name} was not found; to get it: {tool.remedy}")

    def run(proof: Proof, timeout: float = 300) -> Outcome:
        return run_proof(proof, tmp_path / "proof", timeout=timeout)

    return run
