"""Bitwuzla as a program that reads SMT-LIB 2 from its input: its package has a module alone."""

import sys

import bitwuzla

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Answer all commands of the input, one by one as they come."""
    if "--help" in arguments:
        # smtbmc looks here for how the language is chosen.
        print("--lang")
        return
    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options, "smt2", 2)
    parser.parse("<stdin>", False, True)


if __name__ == "__main__":
    main(sys.argv[1:])
