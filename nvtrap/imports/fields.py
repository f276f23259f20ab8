"""The kernel's names for bits, and conditions on bits in the words of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from nvtrap.compile.catalogue import Catalogue, Variant
from nvtrap.imports.ctext import NotUnderstoodError, Token
from nvtrap.lang.findings import Report

# Names that do not begin with their register's: what they begin with, the register, and
# the value of HCR_EL2.E2H in whose layout the kernel means the bit. CPTR_EL2 has the form
# of CPACR_EL1 when E2H is 1, and the kernel names these bits after that register.
_BORROWED = (("CPACR_ELx_", "CPTR_EL2", 1), ("CPACR_EL1_", "CPTR_EL2", 1))
# Names that older kernels had for a field.
_RENAMED = {("HCR_EL2", "TAC"): "TACR"}
# Up to 6.14 these masks stood at bit 0, later ones stand at the field's place.
_EITHER_WAY = ("MDCR_EL2_E2PB_MASK", "MDCR_EL2_E2TB_MASK")


@dataclass(frozen=True, slots=True)
class Bits:
    """Consecutive bits of a register and how a rule names them."""

    text: str
    lsb: int
    width: int

    @property
    def mask(self) -> int:
        """The bits in the register."""
        return (1 << self.width) - 1 << self.lsb


class FieldNames:
    """Looks up bits of registers."""

    def __init__(self, catalogue: Catalogue, report: Report) -> None:
        self._fields = catalogue.fields
        self._report = report

    def constant(self, token: Token, register: str) -> int:
        """The value of a constant about `register`: a field's bits, mask, shift or width.

        Raises `NotUnderstoodError` for a name that is not of this register.
        """
        if token.text in _EITHER_WAY:
            text = f"`{token.text}` is at bit 0 in some kernels and in its place in others"
            raise NotUnderstoodError("NV016", text, token.span)
        for prefix, e2h in _prefixes(register):
            if token.text.startswith(prefix):
                return self._constant(token, register, token.text.removeprefix(prefix), e2h)
        text = f"`{token.text}` is no constant of `{register}`"
        raise NotUnderstoodError("NV016", text, token.span)

    def _constant(self, token: Token, register: str, name: str, e2h: int) -> int:
        variants = self.variants(register, name)
        if variants:
            return _in_layout(variants, e2h).mask
        field, _, kind = name.rpartition("_")
        variants = self.variants(register, field) if kind in ("SHIFT", "MASK", "WIDTH") else []
        if not variants:
            raise self.unknown(token, register, name)
        variant = _in_layout(variants, e2h)
        lsb = variant.pieces[-1][0]
        return {"SHIFT": lsb, "MASK": variant.mask, "WIDTH": variant.width}[kind]

    def variants(self, register: str, name: str) -> list[Variant]:
        """The layouts of a field; letters may be of either case."""
        known = self._fields.get(register, {})
        name = _RENAMED.get((register, name), name)
        if name in known:
            return known[name]
        return next((known[other] for other in known if other.upper() == name.upper()), [])

    def spelled(self, register: str, name: str) -> str:
        """`name` as the catalogue spells it."""
        known = self._fields.get(register, {})
        same = (other for other in known if other.upper() == name.upper())
        return name if name in known else next(same, name)

    def unknown(self, token: Token, register: str, name: str) -> NotUnderstoodError:
        """The error for a field that the register has not."""
        help = self._report.suggest(name, self._fields.get(register, {}))
        return NotUnderstoodError("NV011", f"`{register}` has no field `{name}`", token.span, help)

    # ---- conditions --------------------------------------------------------

    def condition(self, register: str, mask: int, value: int) -> str:
        """The text that says `(register & mask) == value`.

        Fields are named where the mask takes whole ones that no layout moves, and bits
        by number otherwise: the kernel looks at bits, whatever the layout.
        """
        fields = self._covered(register, mask)
        if fields:
            if len(fields) == 1:
                name = f"{register}.{fields[0].text}"
            else:
                name = f"{register}.{{{', '.join(field.text for field in fields)}}}"
            return f"{name} == {_number(fields, value)}"
        return " and ".join(
            f"{register}{run.text} == {_number([run], value)}" for run in _runs(mask)
        )

    def _covered(self, register: str, mask: int) -> list[Bits]:
        """The fixed fields that make up the mask, high one first; none when they do not."""
        left, found = mask, []
        for name, variants in self._fields.get(register, {}).items():
            variant = variants[0]
            is_fixed = len(variants) == 1 and variant.guard is None and len(variant.pieces) == 1
            if is_fixed and variant.mask & left == variant.mask:
                found.append(Bits(name, *variant.pieces[0]))
                left &= ~variant.mask
        return [] if left else sorted(found, key=lambda bits: -bits.lsb)


def _prefixes(register: str) -> list[tuple[str, int]]:
    """What names of this register's bits begin with, and the E2H of their layout."""
    short = register.removesuffix("_EL2")
    own = [(f"{register}_", 0), (f"{short}_", 0)]
    return own + [(prefix, e2h) for prefix, owner, e2h in _BORROWED if owner == register]


def _in_layout(variants: list[Variant], e2h: int) -> Variant:
    wanted = f"HCR_EL2.E2H == {e2h}"
    for variant in variants:
        if variant.guard is None or variant.guard.span.one_line == wanted:
            return variant
    return variants[0]


def _runs(mask: int) -> list[Bits]:
    """The runs of bits of a mask, high one first."""
    found = []
    lsb = 0
    while mask >> lsb:
        width = 0
        while mask >> lsb + width & 1:
            width += 1
        if width:
            text = f"[{lsb}]" if width == 1 else f"[{lsb + width - 1}:{lsb}]"
            found.append(Bits(text, lsb, width))
        lsb += width + 1
    return found[::-1]


def _number(fields: list[Bits], value: int) -> str:
    """The value of the fields, joined, high one first."""
    width = sum(field.width for field in fields)
    joined = 0
    for field in fields:
        joined = joined << field.width | value >> field.lsb & (1 << field.width) - 1
    return str(joined) if width == 1 else f"0b{joined:0{width}b}"
