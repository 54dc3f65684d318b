"""A NIR file under a profile, as the commands that take one read it."""

import argparse
from pathlib import Path

from spikeloom.cli.options import add_arguments
from spikeloom.cli.profile_options import ProfileOptions
from spikeloom.cli.progress import warn
from spikeloom.reference.doubts import doubts
from spikeloom.reference.network import FloatNetwork
from spikeloom.reference.nir_import import read_nir
from spikeloom.reference.nir_network import network_of
from spikeloom.reference.profile import Profile

__all__ = ["add_model_arguments", "read_network"]


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which network is meant, and how time is discretised."""
    parser.add_argument("model", type=Path, metavar="MODEL.nir", help="NIR file of the network")
    add_arguments(parser, ProfileOptions, defaults=False, leave_out="name")


def read_network(path: Path, profile: Profile) -> tuple[FloatNetwork, list[str]]:
    """The network of a NIR file under a profile, and what makes one doubt the profile.

    Doubts and repairs are told on standard error.

    Raises
    ------
    ValueError
        If the file is wrong, or the profile contradicts a node.
    """
    model = read_nir(path)
    network = network_of(model.graph, profile)
    found = doubts(network, model.graph)
    if model.repairs:
        places = f"{len(model.repairs)} place{'s' * (len(model.repairs) > 1)}"
        warn(f"{path} was repaired in {places}; `spikeloom inspect` names them")
    for doubt in found:
        warn(doubt)
    return network, found
