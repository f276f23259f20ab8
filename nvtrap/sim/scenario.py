"""What a scenario is: a machine, and blocks of steps that say who does them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvtrap.sim.acts import Act
    from nvtrap.sim.claims import Claim
    from nvtrap.sim.source import Place

SETUP, DEVICE = "setup", "device"


class Settings:
    """What is said of the machine, with the defaults of `nvtrap.kvm.nested.Machine`.

    `features` are names of the rules' catalogue and `host_traps` bits of ICH_HCR_EL2;
    `all_on`: every vCPU runs from the start, else the first alone.
    """

    __slots__ = ("all_on", "features", "host_traps", "interrupts", "kernel", "table", "vcpus")

    def __init__(self) -> None:
        self.vcpus = 1
        self.kernel = (6, 18)
        self.table = "linux-6.12"
        self.features: list[str] | None = None
        self.host_traps = 0
        self.interrupts = 256
        self.all_on = True


class Step:
    """One act with what is expected of it, or with `act` None expectations alone.

    `text` is as it is written, on one line.
    """

    __slots__ = ("act", "at", "claims", "text")

    def __init__(self, at: Place, text: str, act: Act | None, claims: Sequence[Claim]) -> None:
        self.at = at
        self.text = text
        self.act = act
        self.claims = tuple(claims)


class Block:
    """Steps of `who`, a level of `nvtrap.sim.stage`, `setup` or `device`, on a vCPU."""

    __slots__ = ("at", "steps", "title", "vcpu", "who")

    def __init__(self, at: Place, who: str, vcpu: int, title: str, steps: Sequence[Step]) -> None:
        self.at = at
        self.who = who
        self.vcpu = vcpu
        self.title = title
        self.steps = tuple(steps)

    @property
    def is_guest(self) -> bool:
        """Whether its steps are a guest's instructions."""
        return self.who not in (SETUP, DEVICE)


class Scenario:
    """A file's contents, checked; `file` is its name for people."""

    __slots__ = ("blocks", "file", "settings", "title")

    def __init__(self, file: str, title: str, settings: Settings, blocks: Sequence[Block]) -> None:
        self.file = file
        self.title = title
        self.settings = settings
        self.blocks = tuple(blocks)

    def __repr__(self) -> str:
        return f"Scenario({self.file}: {self.title})"
