"""The tables of ``docs/boards.md``: what the boards are, and what the digits network is on them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from figures import CHECKOUT, Figures

from spikeloom.boards.board import BOARDS, Board
from spikeloom.boards.program import commands

DOCS = CHECKOUT / "docs" / "boards.md"


def tables(figures: Figures) -> dict[str, str]:
    """Each table by the name in its markers."""
    return {
        "facts": _facts(),
        "serial": _serial(),
        "digits": _digits(figures),
        "link": _link(figures),
    }


def write_tables(figures: Figures, path: Path) -> None:
    """Put the tables into a file."""
    put_tables(tables(figures), path)


def put_tables(found: Mapping[str, str], path: Path) -> None:
    """Put tables into a file, each between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    text = path.read_text(encoding="utf-8")
    for name, lines in found.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->\n")
        if not end:
            raise SystemExit(f"{path} must hold the markers of the table {name}")
        text = f"{before}{begin}{lines}{end}{after}"
    path.write_text(text, encoding="utf-8")


def _facts() -> str:
    titles = ("`--board`", "board", "FPGA", "logic cells", "block RAMs", "DSPs", "SPRAMs", "made")
    rows = [
        (
            f"`{board.name}`",
            board.title,
            f"{board.family.name} {board.chip}",
            f"{board.logic_cells:,}",
            f"{board.block_rams} of {board.family.block_ram_bits / 1024:g} kbit",
            str(board.dsps),
            str(board.sprams),
            "built here" if board.built else "not built here",
        )
        for board in BOARDS.values()
    ]
    return table(titles, rows)


def _serial() -> str:
    titles = "board", "serial line", "fastest", "button that resets", "`spikeloom program` types"
    rows = [
        (
            board.title if board.built else f"{board.title}, not built here",
            _line(board),
            f"{board.fastest_baud / 1e6:g} Mbaud",
            "yes" if board.button else "none",
            ", or ".join(f"`{' '.join(each.words)}`" for each in _commands(board)),
        )
        for board in BOARDS.values()
    ]
    return table(titles, rows)


def _commands(board: Board):  # type: ignore[no-untyped-def]
    return commands(board, Path(board.family.bitstream))


def _line(board: Board) -> str:
    if board.wires is None:
        return "USB"
    receive, send = board.wires
    return f"adapter of 3.3 V: its TX to `{receive}`, its RX to `{send}`"


def _digits(figures: Figures) -> str:
    titles = "board", "clock", "reaches", "seed", "logic cells", "block RAMs", "DSPs"
    rows = []
    for name, board in BOARDS.items():
        if not board.built:
            rows.append((board.title, *["not built here"] * (len(titles) - 1)))
            continue
        value = {key: figures[f"{name}.{key}"][1] for key in ("target", "fmax", "seed")}
        used = [int(figures[f"{name}.{key}"][1]) for key in ("logic_cells", "block_rams", "dsps")]
        rows.append(
            (
                board.title,
                f"{value['target']:g} MHz",
                f"{value['fmax']:.1f} MHz",
                f"{value['seed']:g}",
                *(f"{each:,}" for each in used),
            )
        )
    return table(titles, rows)


def _link(figures: Figures) -> str:
    value = {name: each for name, (_, each) in figures.items()}
    rows = []
    for name, images, words in (
        ("link.image_mismatches", "link.images", "weights over the line"),
        ("link.flash_image_mismatches", "link.images", "weights from the flash"),
        (
            "netlist.image_mismatches",
            "netlist.images",
            "through the netlist, with the vendor's models of its cells",
        ),
    ):
        if name in value:
            rows.append((f"{value[images]:g} digits, {words}", f"{value[name]:g} different"))
    if "link.fuzz_frames" in value:
        rows.append(
            (
                f"{value['link.fuzz_frames']:,.0f} broken frames, good orders and digits between"
                " them",
                f"{value['link.fuzz_failures']:g} without the right answer",
            )
        )
    for name in ("1mbaud", "fastest"):
        if f"link.baud_{name}" in value:
            baud, share = value[f"link.baud_{name}"] / 1e6, value[f"link.share_{name}"]
            rows.append(
                (
                    f"784 spikes in a step of 784-128-10, {baud:g} Mbaud",
                    f"{value[f'link.step_of_784_{name}']:.2f} ms, in {share:.1f} % of which the"
                    " network waits for the line",
                )
            )
    return table(("on the virtual iCEBreaker", "seen"), rows)


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(titles)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
