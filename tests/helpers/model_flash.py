"""A flash in Python, on the pins of whoever reads it."""

from dataclasses import dataclass, field


@dataclass
class Flash:
    """What a flash sees and says, called once a cycle: mode 0, asleep until it is woken."""

    content: bytes
    commands: list[bytes] = field(default_factory=list)
    selected_in: list[int] = field(default_factory=list)
    cycle: int = 0
    _bits: list[int] = field(default_factory=list)
    _before: tuple[int, int] = (1, 0)

    def look(self, cs: int, sck: int, copi: int) -> int | None:
        """The level of cipo from now on, None where it stays."""
        selected, clock = self._before
        self._before = cs, sck
        self.cycle += 1
        if selected and not cs:
            assert not sck
            self.selected_in.append(self.cycle - 1)
            self.commands.append(b"")
            self._bits = []
        if cs:
            return None
        if sck and not clock:
            self._bits.append(copi)
        if len(self._bits) <= 32 and len(self._bits) % 8 == 0:
            value = int("".join(map(str, self._bits)) or "0", 2)
            self.commands[-1] = value.to_bytes(len(self._bits) // 8)
        if clock and not sck and len(self._bits) >= 32 and self.commands[0] == b"\xab":
            assert self.commands[-1][0] == 3
            address, bit = divmod(8 * int.from_bytes(self.commands[-1][1:]) + len(self._bits), 8)
            return self.content[(address - 4) % len(self.content)] >> (7 - bit) & 1
        return None
