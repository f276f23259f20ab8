"""The world switch: what a host with VHE saves, loads and programs for each context.

A `World` says it as data, which can be printed and compared. It is that of Linux 6.12,
arch/arm64/kvm/hyp/vhe and hyp/include/hyp; only a host with VHE runs L1 hypervisors.
Behaviour of that version: **VMPIDR_EL2** has the vCPU's affinity in every context, so that
L2 reads L1's MPIDR_EL1 and not what L1 put into its VMPIDR_EL2; VPIDR_EL2 is never written
and gives all of them the host's MIDR_EL1.
"""

from __future__ import annotations

from nvtrap.kvm.context import MASK_64, is_e2h, is_el2, is_hyp_context
from nvtrap.kvm.exits.handlers import (
    CPTR_FPEN_SHIFT,
    CPTR_TFP,
    CPTR_TZ,
    CPTR_ZEN_SHIFT,
    is_trapped_by_cptr,
)
from nvtrap.kvm.hyp.traps import (
    HCR_HOST_FLAGS,
    HCR_VM,
    HCRX_HOST_FLAGS,
    HSTR_T15,
    PMUSERENR_ALL,
    HostCpu,
    VcpuState,
    cnthctl,
    cptr,
    cptr_of_host,
    fine_grained,
    hcr,
    hcrx,
    mdcr,
)
from nvtrap.kvm.hyp.vel2 import EL2_IN_EL1, hardware_pstate, in_el1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nvtrap.kvm.context import Context
    from nvtrap.kvm.memory.mmu import Mmu

# Whose world it is.
HOST = "host"
GUEST = "guest"  # of a VM without EL2
VEL2_VHE, VEL2_NVHE = "L1 at vEL2, VHE", "L1 at vEL2, nVHE"
L1_EL0 = "L1's EL0"  # host user space of an L1 with TGE
L1_EL1 = "L1's EL1 and EL0"  # below vEL2, without a stage 2 of L1
L2 = "L2"

# When a group of registers is switched.
AT_LOAD, AT_ENTRY, AT_FIRST_USE = "load", "entry", "first use"

MPIDR_RES1 = 1 << 31
_EL1 = (
    *("SCTLR_EL1", "CPACR_EL1", "TTBR0_EL1", "TTBR1_EL1", "TCR_EL1", "ESR_EL1", "AFSR0_EL1"),
    *("AFSR1_EL1", "FAR_EL1", "MAIR_EL1", "VBAR_EL1", "CONTEXTIDR_EL1", "AMAIR_EL1"),
    *("CNTKCTL_EL1", "PAR_EL1", "TPIDR_EL1", "SP_EL1", "ELR_EL1", "SPSR_EL1"),
)
# With a feature of the VM.
_EL1_WITH = (
    ("FEAT_TCR2", ("TCR2_EL1",)),
    ("FEAT_S1PIE", ("PIR_EL1", "PIRE0_EL1")),
    ("FEAT_S1POE", ("POR_EL1",)),
    ("FEAT_MTE", ("TFSR_EL1", "TFSRE0_EL1")),
)
_AARCH32 = (
    *("SPSR_abt", "SPSR_und", "SPSR_irq", "SPSR_fiq"),
    *("DACR32_EL2", "IFSR32_EL2", "DBGVCR32_EL2"),
)
_USER = ("TPIDR_EL0", "TPIDRRO_EL0")
_KEYS = tuple(
    f"AP{key}KEY{half}_EL1" for key in ("IA", "IB", "DA", "DB", "GA") for half in ("LO", "HI")
)
_CALLEE_SAVED = 18  # of the host's general registers those from X18 on are kept


class Group:
    """Registers that are switched together.

    `when` is one of the words above. `moves` are pairs: the hardware's register, and the
    guest's, from which it is loaded and to which it is saved. `host` are those whose own
    value the host saves before and loads again after.
    """

    __slots__ = ("host", "moves", "name", "when")

    def __init__(
        self, name: str, when: str, moves: Iterable[tuple[str, str]], host: Iterable[str] = ()
    ) -> None:
        self.name = name
        self.when = when
        self.moves = tuple(moves)
        self.host = tuple(host)


class World:
    """What is in the CPU while `name` runs.

    `controls` are the registers that rule it from EL2, by name; those that are not there
    keep the host's value. `values` are the guest's registers that the hardware holds, as
    they are loaded. `emulated` names the timers that software stands in for.
    """

    __slots__ = ("controls", "emulated", "groups", "name", "values")

    def __init__(
        self,
        name: str,
        controls: dict[str, int],
        groups: Iterable[Group] = (),
        values: dict[str, int] | None = None,
        emulated: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.controls = controls
        self.groups = tuple(groups)
        self.values = values or {}
        self.emulated = tuple(emulated)

    def group(self, name: str) -> Group | None:
        """The group of a name, or None."""
        return next((group for group in self.groups if group.name == name), None)

    def facts(self) -> dict[str, object]:
        """Everything that can differ between two worlds, by a name; sources and numbers."""
        facts: dict[str, object] = dict(self.controls)
        for group in self.groups:
            facts[f"{group.name}: switched at"] = group.when
            for hardware, source in group.moves:
                facts[f"{hardware} from"] = source
            for register in group.host:
                facts[f"{register} of the host"] = "kept"
        facts.update((f"{name} value", value) for name, value in self.values.items())
        facts.update((f"{timer} timer", "emulated") for timer in self.emulated)
        return facts

    def as_dict(self) -> dict[str, object]:
        """For JSON: numbers are hexadecimal strings."""
        return {
            "name": self.name,
            "controls": {name: hex(value) for name, value in self.controls.items()},
            "groups": [
                {
                    "name": group.name,
                    "when": group.when,
                    "moves": dict(group.moves),
                    "host": list(group.host),
                }
                for group in self.groups
            ],
            "values": {name: hex(value) for name, value in self.values.items()},
            "emulated": list(self.emulated),
        }

    def lines(self) -> Iterator[str]:
        """The world as text."""
        yield self.name
        for name, value in self.controls.items():
            yield f"  {name:<14} {value:#018x}"
        for group in self.groups:
            moved = (
                hardware if hardware == source else f"{hardware} <- {source}"
                for hardware, source in group.moves
            )
            yield f"  {group.name} ({group.when}): {', '.join(moved)}"
            if group.host:
                yield f"    the host's own: {', '.join(group.host)}"
        if self.emulated:
            yield f"  emulated timers: {', '.join(self.emulated)}"


def diff(one: World, other: World) -> list[tuple[str, object, object]]:
    """(name, in `one`, in `other`) of every fact that differs; None where there is none."""
    first, second = one.facts(), other.facts()
    names = dict.fromkeys([*first, *second])
    return [
        (name, first.get(name), second.get(name))
        for name in names
        if first.get(name) != second.get(name)
    ]


# ---- the worlds -------------------------------------------------------------------


def name_of(context: Context) -> str:
    """Which of L1's contexts a vCPU runs."""
    if not context.features.nv:
        return GUEST
    if is_el2(context):
        return VEL2_VHE if is_e2h(context) else VEL2_NVHE
    if is_hyp_context(context):
        return L1_EL0
    return L2 if context.sysregs["HCR_EL2"] & HCR_VM else L1_EL1


def host_world(cpu: HostCpu) -> World:
    """The host itself: nothing of a guest traps, nothing of it is loaded."""
    controls = {
        "HCR_EL2": HCR_HOST_FLAGS,
        "MDCR_EL2": cpu.counters,
        "CPTR_EL2": cptr_of_host(cpu),
        "HSTR_EL2": 0,
        "VPIDR_EL2": cpu.midr,
    }
    if "FEAT_HCX" in cpu.features:
        controls["HCRX_EL2"] = HCRX_HOST_FLAGS
    return World(HOST, controls)


def describe(
    context: Context,
    vcpu: VcpuState,
    cpu: HostCpu,
    *,
    mmu: Mmu | None = None,
    vncr: int = 0,
    ich_hcr: int = 0,
    list_registers: int = 0,
    active_priorities: int = 1,
) -> World:
    """The world of a vCPU as its context is now.

    `mmu` is the stage 2 it runs on, `vncr` the address of its VNCR page. `ich_hcr` is the
    ICH_HCR_EL2 of its VGIC (of L2: of the nested one) with `list_registers` in use and
    `active_priorities` registers of each group.
    """
    controls = _controls(context, vcpu, cpu)
    if mmu is not None:
        controls.update(VTTBR_EL2=mmu.vttbr, VTCR_EL2=mmu.vtcr)
    if is_hyp_context(context):
        controls["VNCR_EL2"] = vncr
    if ich_hcr or list_registers:
        controls["ICH_HCR_EL2"] = ich_hcr
    groups = list(_groups(context, vcpu, cpu))
    groups.append(_gic(context, list_registers, active_priorities))
    emulated: tuple[str, ...] = ()
    if context.features.nv:
        emulated = ("CNTV", "CNTP") if is_hyp_context(context) else ("CNTHV", "CNTHP")
    return World(name_of(context), controls, groups, _values(context, groups), emulated)


def _controls(context: Context, vcpu: VcpuState, cpu: HostCpu) -> dict[str, int]:
    controls = {
        "HCR_EL2": hcr(context, vcpu, cpu),
        "MDCR_EL2": mdcr(vcpu, cpu),
        "CPTR_EL2": cptr(context, vcpu),
        "HSTR_EL2": HSTR_T15,
        "VPIDR_EL2": cpu.midr,
        "VMPIDR_EL2": MPIDR_RES1 | vcpu.affinity,
        "CNTHCTL_EL2": cnthctl(context, vcpu, cpu),
        "CNTVOFF_EL2": virtual_offset(context, vcpu),
        "ICC_SRE_EL2": 0b0111,  # SRE, DFB, DIB; without Enable ICC_SRE_EL1 traps
    }
    if "FEAT_HCX" in cpu.features:
        controls["HCRX_EL2"] = hcrx(context, vcpu)
    if "FEAT_PMUv3" in cpu.features:
        controls.update(PMUSERENR_EL0=PMUSERENR_ALL, PMSELR_EL0=0)
    if "FEAT_CNTPOFF" in cpu.features:
        controls["CNTPOFF_EL2"] = vcpu.offset
    controls.update(fine_grained(context, vcpu, cpu))
    return controls


def virtual_offset(context: Context, vcpu: VcpuState) -> int:
    """CNTVOFF_EL2: the offset of the virtual timer that has the hardware.

    Below hypervisor context it is the VM's and L1's CNTVOFF_EL2 in one; vEL2's own timer has
    L1's only without E2H (kvm_timer_vcpu_load_nested_switch).
    """
    if not context.features.nv:
        return vcpu.virtual_offset
    of_l1 = context.sysregs["CNTVOFF_EL2"]
    if is_hyp_context(context) and is_e2h(context):
        of_l1 = 0
    return vcpu.offset + of_l1 & MASK_64


def _groups(context: Context, vcpu: VcpuState, cpu: HostCpu) -> Iterator[Group]:
    hyp = is_hyp_context(context)
    has = vcpu.features
    general = [f"X{n}" for n in range(31)]
    yield Group(
        "general", AT_ENTRY, _same([*general, "SP_EL0"]), [*general[_CALLEE_SAVED:], "SP_EL0"]
    )
    yield Group("return", AT_ENTRY, [("ELR_EL2", "PC"), ("SPSR_EL2", "PSTATE")])
    yield Group("user", AT_LOAD, _same(_USER), _USER)
    registers = [*_EL1, *(name for feature, names in _EL1_WITH if feature in has for name in names)]
    el2 = EL2_IN_EL1 if hyp else {}
    yield Group("EL1", AT_LOAD, ((name, el2.get(name, name)) for name in registers))
    if context.features.el1_32bit:
        yield Group("AArch32", AT_LOAD, _same(_AARCH32))
    common = ["MDSCR_EL1", *(["POR_EL0"] if "FEAT_S1POE" in has else [])]
    yield Group("common", AT_ENTRY, _same(common), common)
    if vcpu.uses_debug:
        debug = [f"DBG{kind}{part}R<n>_EL1" for kind in "BW" for part in "CV"] + ["MDCCINT_EL1"]
        yield Group("debug", AT_ENTRY, _same(debug), debug)
    if context.features.ptrauth:
        yield Group("keys", AT_ENTRY, _same(_KEYS), _KEYS)
    if "FEAT_RAS" in cpu.features:
        yield Group("RAS", AT_ENTRY, [("VDISR_EL2", "DISR_EL1")])
    if "FEAT_FP" in cpu.features:
        yield _fp(context, vcpu)
    kind = "H" if hyp else ""
    yield Group("timers", AT_LOAD, _timers(kind))


def _fp(context: Context, vcpu: VcpuState) -> Group:
    """FP registers: loaded by the first trap, kept by the guest until it is put."""
    names = ["V0-V31", "FPSR", "FPCR"]
    moves = _same(names)
    if "FEAT_SVE" in vcpu.features:
        zcr = EL2_IN_EL1["ZCR_EL1"] if is_hyp_context(context) else "ZCR_EL1"
        moves = [*_same(["Z0-Z31", "P0-P15", "FFR", "FPSR", "FPCR"]), ("ZCR_EL1", zcr)]
    if "FEAT_FPMR" in vcpu.features:
        moves = [*moves, ("FPMR", "FPMR")]
    return Group("FP", AT_LOAD if vcpu.owns_fp else AT_FIRST_USE, moves)


def _timers(kind: str) -> Iterator[tuple[str, str]]:
    """The hardware's two timers of EL1, for EL1's or, with `kind` "H", vEL2's."""
    level = "EL2" if kind else "EL0"
    for timer in "VP":
        for part in ("CVAL", "CTL"):
            yield f"CNT{timer}_{part}_EL0", f"CNT{kind}{timer}_{part}_{level}"


def _gic(context: Context, list_registers: int, active_priorities: int) -> Group:
    """The virtual CPU interface: of L2 it is the shadow of what L1 has programmed."""
    names = ["ICH_VMCR_EL2"]
    names += [f"ICH_AP{group}R{n}_EL2" for group in (0, 1) for n in range(active_priorities)]
    names += [f"ICH_LR{n}_EL2" for n in range(list_registers)]
    nested = context.features.nv and not is_hyp_context(context)
    return Group("GIC", AT_LOAD, ((n, f"L1's {n}" if nested else f"VGIC's {n}") for n in names))


def _values(context: Context, groups: Iterable[Group]) -> dict[str, int]:
    """The values of what EL1, user and common groups load, and the return state."""
    values = {"ELR_EL2": context.pc, "SPSR_EL2": hardware_pstate(context.pstate)}
    hyp = is_hyp_context(context)
    for group in groups:
        if group.name in {"EL1", "user", "common"}:
            for hardware, _ in group.moves:
                values[hardware] = (
                    in_el1(context, hardware)[1] if hyp else context.sysregs[hardware]
                )
    return values


def _same(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


# ---- the first use of FP ----------------------------------------------------------

LOADED, TO_EXIT = "loaded", "exit"


def fp_trap(context: Context, vcpu: VcpuState, cpu: HostCpu, *, sve: bool = False) -> str:
    """A trap of FP, or of SVE: its state is LOADED, or the exit goes on (TO_EXIT).

    It goes on for L1 that traps it, for SVE that the VM has not, and on a host without FP:
    `nvtrap.kvm.exits.handlers` then gives it to L1 or makes it undefined (kvm_hyp_handle_fpsimd).
    """
    if "FEAT_FP" not in cpu.features:
        return TO_EXIT
    if sve and "FEAT_SVE" not in vcpu.features:
        return TO_EXIT
    field = (CPTR_ZEN_SHIFT, CPTR_TZ) if sve else (CPTR_FPEN_SHIFT, CPTR_TFP)
    if is_trapped_by_cptr(context, *field):
        return TO_EXIT
    vcpu.owns_fp = True
    return LOADED
