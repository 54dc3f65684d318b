"""A look inside a component, for invariants that its ports do not show."""

from typing import Any

from amaranth.hdl import Const, Fragment, MemoryInstance, Module, Signal, Value
from amaranth.lib import wiring

__all__ = ["Inside"]


class Inside:
    """A component that is taken into a claim, with its registers and memories open.

    Parameters
    ----------
    component
        The component.

    Attributes
    ----------
    fragment : Fragment
        The submodule to add in place of the component.
    """

    def __init__(self, component: wiring.Component) -> None:
        self.fragment: Any = Fragment.get(component, None)
        self._signals: dict[str, Signal] = {}
        self._memories: dict[str, Any] = {}
        self._collect(self.fragment, "")

    def _collect(self, fragment: Any, prefix: str) -> None:
        for statements in fragment.statements.values():
            for signal in statements._lhs_signals():
                self._signals.setdefault(f"{prefix}{signal.name}", signal)
        for part, name, _ in fragment.subfragments:
            if isinstance(part, MemoryInstance):
                self._memories[f"{prefix}{name}"] = part
            self._collect(part, f"{prefix}{name}.")

    def signal(self, name: str) -> Signal:
        """The register or wire of this name; that of a part has the part's name and a dot before.

        Raises
        ------
        ValueError
            If there is none.
        """
        if name not in self._signals:
            raise ValueError(f"name must be one of {sorted(self._signals)}, not {name!r}")
        return self._signals[name]

    def state(self, name: str) -> Value:
        """Whether the state machine of the component is in the state of this name."""
        machine = self.fragment.find_generated("fsm")
        return machine.ongoing(name)

    def read(self, memory: str) -> Value:
        """What the first reading port of a memory gives."""
        return self._memories[memory]._read_ports[0]._data

    def word(self, m: Module, memory: str, address: Value) -> Value:
        """The word of a memory at an address, read in no time.

        Parameters
        ----------
        m
            Where the address is.
        memory
            Name of the memory, as :meth:`signal`'s.
        address
            The address.

        Raises
        ------
        ValueError
            If there is no such memory.
        """
        if memory not in self._memories:
            raise ValueError(f"memory must be one of {sorted(self._memories)}, not {memory!r}")
        instance = self._memories[memory]
        port = instance._read_ports[0] if instance._read_ports else instance._write_ports[0]
        found = Signal(len(port._data), name=f"word_of_{memory.replace('.', '_')}")
        place = Signal(len(port._addr), name=f"place_in_{memory.replace('.', '_')}")
        instance.read_port(domain="comb", addr=place, data=found, en=Const(1), transparent_for=())
        m.d.comb += place.eq(address)
        return found
