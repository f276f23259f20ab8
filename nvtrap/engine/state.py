"""The state of a vCPU as far as traps depend on it."""

from __future__ import annotations

from nvtrap.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST = (1 << 64) - 1


class State:
    """What the L1 hypervisor has programmed, and what the vCPU is.

    `registers` are values by name, those not given are 0; `el` is PSTATE.EL at the
    trap, 0 to 2; `nv` says whether the vCPU has EL2. `res0` are bits of unimplemented
    features by register, `fgu` bits of disabled features by fine-grained group's key;
    `features` the features of the vCPU, None for all. States are not changed once made.

    Raises `UsageError` for a value that does not fit 64 bits or an EL that is none.
    """

    __slots__ = ("el", "features", "fgu", "nv", "registers", "res0")

    def __init__(
        self,
        registers: Mapping[str, int] | None = None,
        *,
        el: int = 1,
        nv: bool = True,
        res0: Mapping[str, int] | None = None,
        fgu: Mapping[str, int] | None = None,
        features: Iterable[str] | None = None,
    ) -> None:
        self.registers = dict(registers or {})
        self.el = el
        self.nv = nv
        self.res0 = dict(res0 or {})
        self.fgu = dict(fgu or {})
        self.features = None if features is None else frozenset(features)
        if el not in (0, 1, 2):
            raise UsageError(f"EL is `{el}`, a trap comes from EL 0, 1 or 2")
        for values in (self.registers, self.res0, self.fgu):
            for name, value in values.items():
                if not 0 <= value <= MOST:
                    raise UsageError(f"`{name}` is `{value:#x}`, which does not fit 64 bits")

    def having(self, registers: Mapping[str, int]) -> State:
        """The same vCPU with other registers."""
        return State(
            registers,
            el=self.el,
            nv=self.nv,
            res0=self.res0,
            fgu=self.fgu,
            features=self.features,
        )

    def __repr__(self) -> str:
        words = [f"EL{self.el}", *(f"{n}={v:#x}" for n, v in self.registers.items())]
        words += [f"res0 {name}={value:#x}" for name, value in self.res0.items()]
        words += [f"fgu {name}={value:#x}" for name, value in self.fgu.items()]
        if self.features is not None:
            words.append(f"features {' '.join(sorted(self.features)) or 'none'}")
        return ", ".join(words if self.nv else [*words, "no EL2"])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in State.__slots__)

    __hash__ = None  # type: ignore[assignment]
