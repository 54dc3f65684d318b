import argparse
import json
from dataclasses import fields

import pytest

from spikeloom.cli.options import add_arguments
from spikeloom.cli.profile_options import ProfileOptions, given_profile, required_profile
from spikeloom.reference.profile import PROFILES, Profile, Reset


def _parse(*arguments):
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser, ProfileOptions)
    return parser.parse_args(arguments)


def test_every_option_of_a_profile_can_be_said():
    options = {each.name: each.default for each in fields(ProfileOptions)}
    assert options.pop("preset") == ""
    options.pop("name")
    assert options == {each.name: each.default for each in fields(Profile) if each.name != "name"}


@pytest.mark.parametrize("name", PROFILES)
def test_a_preset_is_the_profile_of_that_name(name):
    assert given_profile(_parse("--profile", name)) == PROFILES[name]
    assert given_profile(_parse(), {"preset": name}) == PROFILES[name]


def test_what_differs_from_a_preset_is_in_the_name():
    arguments = _parse(
        *("--profile", "sinabs", "--integrator-floor", "none", "--max-spikes", "3"),
        *("--recurrent-bias-at-start", "no", "--decay", "exponential"),
    )
    profile = given_profile(arguments)
    assert profile.integrator_floor is None
    assert profile.max_spikes == 3
    assert profile.recurrent_bias_at_start is False
    # What was given as it was before is no difference.
    first, *changes = profile.name.split(", ")
    assert first == "sinabs"
    assert sorted(changes) == [
        "integrator_floor=none",
        "max_spikes=3",
        "recurrent_bias_at_start=no",
    ]


def test_the_command_line_goes_over_the_table():
    table = {"preset": "norse", "reset": "subtract", "dt": 1, "staged_overflow": True}
    profile = given_profile(_parse("--profile", "nengo", "--dt", "2"), table)
    assert (profile.decay, profile.reset) == (PROFILES["nengo"].decay, Reset.SUBTRACT)
    assert (profile.dt, profile.staged_overflow) == (2.0, True)
    assert profile.name.startswith("nengo, ")


def test_a_profile_of_ones_own():
    assert given_profile(_parse()) is None
    assert given_profile(_parse("--dt", "2")) == Profile(name="custom", dt=2.0)
    assert given_profile(_parse(), {"name": "mine"}) == Profile(name="mine")
    named = given_profile(_parse("--profile", "norse", "--name", "mine", "--dt", "1"))
    assert (named.name, named.comparison) == ("mine", PROFILES["norse"].comparison)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"preset": "nose"}, r"preset in \[profile\] must be one of 'textbook', "),
        ({"preset": 3}, r"preset in \[profile\] must be one of 'textbook', "),
        ({"staged_overflow": 1}, r"staged_overflow in \[profile\] must be of type bool, not 1"),
        ({"floor": "low"}, r"floor in \[profile\] must be of type float, not 'low'"),
        ({"floor": 1.0}, "floor must be at most 0"),
        ({"max_spikes": True}, r"max_spikes in \[profile\] must be of type int, not True"),
    ],
)
def test_wrong_tables(table, message):
    with pytest.raises(ValueError, match=message):
        given_profile(_parse(), table)


def test_a_preset_can_be_required():
    assert required_profile(_parse("--profile", "norse")) == PROFILES["norse"]
    for arguments in ((), ("--reset", "subtract")):
        with pytest.raises(ValueError, match="--profile must say how time is discretised"):
            required_profile(_parse(*arguments))


def test_a_preset_of_a_generated_array(run, tmp_path):
    options = ("--neurons", 2, "--profile", "norse", "--dt", 1, "-o", tmp_path / "out")
    assert run("generate", *options)[0] == 0
    sidecar = json.loads((tmp_path / "out" / "neuron_array.json").read_text())
    assert sidecar["profile"] == "norse, dt=1.0"
    assert sidecar["populations"][0]["neurons"]["comparison"] == ">"


def test_a_preset_in_a_file(run, tmp_path):
    (tmp_path / "array.toml").write_text('[profile]\npreset = "norse"\ndt = 1\nname = "mine"\n')
    assert run("generate", tmp_path / "array.toml", "-o", tmp_path / "out")[0] == 0
    sidecar = json.loads((tmp_path / "out" / "neuron_array.json").read_text())
    assert sidecar["profile"] == "mine"
    assert sidecar["populations"][0]["neurons"]["comparison"] == ">"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--profile", "lava"], "input_delay must be 0 in a design without a NIR file, not 1"),
        (["--floor", -1], "floor must be None in a design without a NIR file, not -1.0"),
        (["--synapse-gain", "one"], "--synapse-gain has no effect on a design without a NIR file"),
        (
            ["--recurrent-delay", 2],
            "--recurrent-delay has no effect on a design without a NIR file",
        ),
    ],
)
def test_what_a_design_without_synapses_and_loops_has_not(run, tmp_path, options, message):
    code, output, complaint = run("generate", *options, "-o", tmp_path / "out")
    assert (code, output) == (2, "")
    assert message in complaint
    assert list(tmp_path.iterdir()) == []
