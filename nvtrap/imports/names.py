"""The kernel's names for registers and encodings, found in the catalogue.

A macro of the kernel is the architecture's name in another spelling: `SYS_` or `OP_`
stands before it, letters are of any case, and the number of an array's element is an
argument (`SYS_DBGBVRn_EL1(3)`, `SYS_AMEVCNTR0_EL0(2)`).
"""

from __future__ import annotations

import re

from nvtrap.arch import encode, generic_name
from nvtrap.compile.catalogue import Catalogue, Family
from nvtrap.errors import UsageError
from nvtrap.imports import constants
from nvtrap.imports.ctext import NotUnderstoodError, Token, Tokens, is_name, whole
from nvtrap.lang.findings import Report

_PREFIX = re.compile(r"(?:SYS_|GICV5_OP_|OP_)")
_LEVEL = re.compile(r"_EL[0-3]{1,2}$")
# Macros whose arguments are op0, op1, CRn, CRm and op2.
ENCODERS = ("sys_reg", "sys_insn")


class Names:
    """Looks names up; suggestions come from `report`, which bounds them."""

    def __init__(self, catalogue: Catalogue, report: Report) -> None:
        self.catalogue = catalogue
        self._report = report
        self._spelled = {name.upper(): name for name in catalogue.elements}
        self._families = {key.upper(): family for key, family in catalogue.families.items()}
        self.family_of = {
            family.pattern.element(number): family
            for family in catalogue.families.values()
            for number in range(family.first, family.last + 1)
        }

    def encoding(self, tokens: Tokens) -> tuple[int, str]:
        """(encoding, name or an empty text) of what a table names an encoding by.

        Raises `NotUnderstoodError` when nothing goes by that name.
        """
        call = constants.arguments(tokens)
        if call is not None and call[0].text in ENCODERS:
            return self._operands(call[0], call[1]), ""
        if call is not None and len(call[1]) == 1:
            return self._element(call[0], _plain(call[1][0]), whole_tokens=tokens)
        if not is_name(tokens):
            text = "this is no register, and no encoding"
            raise NotUnderstoodError("NV001", text, whole(tokens))
        return self._named(tokens[0])

    def text(self, encoding: int) -> str:
        """The catalogue's name of an encoding, or `S3_0_C1_C0_1`."""
        named = self.catalogue.by_encoding.get(encoding)
        return named[0].name if named else generic_name(encoding)

    def register(self, token: Token) -> str:
        """The register that a name without a prefix means."""
        spelled = self._spelled.get(token.text.upper())
        if spelled is None:
            raise self._unknown(token, token.text)
        return spelled

    def _operands(self, macro: Token, written: list[Tokens]) -> int:
        numbers = [_plain(piece) for piece in written if piece]
        if len(numbers) != 5:
            text = f"`{macro.text}` has five arguments, not {len(written)}"
            raise NotUnderstoodError("NV024", text, macro.span)
        op0, op1, crn, crm, op2 = numbers
        try:
            return encode(op0, op1, crn, crm, op2)
        except UsageError as error:
            raise NotUnderstoodError("NV024", error.message, macro.span) from None

    def _named(self, token: Token) -> tuple[int, str]:
        name = _PREFIX.sub("", token.text, count=1)
        spelled = self._spelled.get(name.upper())
        if spelled is None:
            raise self._unknown(token, name)
        return self._encoding_of(spelled), spelled

    def _element(self, macro: Token, number: int, *, whole_tokens: Tokens) -> tuple[int, str]:
        """An element of an array: the `n` for its number may be written or left out."""
        name = _PREFIX.sub("", macro.text, count=1).upper()
        level = _LEVEL.search(name)
        after = level[0] if level else ""
        before = name.removesuffix(after) if after else name
        for start in (before.removesuffix("N"), before):
            family = self._families.get(f"{start}<>{after}")
            if family is not None:
                return self._numbered(family, number, whole_tokens)
        raise self._unknown(macro, name)

    def _numbered(self, family: Family, number: int, tokens: Tokens) -> tuple[int, str]:
        if not family.first <= number <= family.last:
            shown = f"{family.pattern.before}<{family.first}..{family.last}>{family.pattern.after}"
            text = f"`{shown}` has no element {number}"
            raise NotUnderstoodError("NV023", text, whole(tokens))
        name = family.pattern.element(number)
        return self._encoding_of(name), name

    def _encoding_of(self, name: str) -> int:
        return self.catalogue.elements[name].encoding

    def _unknown(self, token: Token, name: str) -> NotUnderstoodError:
        help = self._report.suggest(name, self.catalogue.elements)
        return NotUnderstoodError("NV010", f"unknown register `{token.text}`", token.span, help)


def _plain(tokens: Tokens) -> int:
    """A number written as such."""
    return constants.evaluate(tokens, _no_name)


def _no_name(token: Token) -> int:
    raise NotUnderstoodError("NV024", f"`{token.text}` is no number", token.span)
