"""The grammar file, and what its terminals are called in messages."""

from __future__ import annotations

from nvtrap.places import grammar_root

# Terminals whose name in the grammar is not the word itself.
TERMINALS = {
    "NAME": "a name",
    "WILDCARD": "a wildcard such as `S3_*_C11_*_*`",
    "TABLE_NAME": "a table's name",
    "INT": "a number",
    "STRING": "a text in quotes",
    "MODE": "`read-only`, `write-only` or `read-write`",
    "DIRECTION": "`read`, `write` or `any`",
    "HOST_EL0": "`also in host EL0`",
    "POLARITY": "`positive` or `negative`",
    "WHETHER": "`unless` or `when`",
    "LEVEL": "`EL0` to `EL3`",
    "OUTCOME": "`forward`, `local` or `undef`",
    "PARTS_ARE": "`exclusive` or `additive`",
    "BITS_BY": "`position` or `name`",
    "ABSENT": "`read as zero` or `disarm`",
    "LIMIT": "`controls`, `groups` or `filters`",
    "COMPARE": "a comparison",
    "EQUAL": "`=`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "DOT": "`.`",
    "PLUS": "`+`",
    "STAR": "`*`",
    "VBAR": "`|`",
    "__ANON_0": "`..`",
    "EL0": "`EL0`",
    "$END": "",
}

# The words of terminals that stand for several, or for one that is not their name.
WORDS = {
    "MODE": ("read-only", "write-only", "read-write"),
    "DIRECTION": ("read", "write", "any"),
    "POLARITY": ("positive", "negative"),
    "WHETHER": ("unless", "when"),
    "LEVEL": ("EL0", "EL1", "EL2", "EL3"),
    "OUTCOME": ("forward", "local", "undef"),
    "PARTS_ARE": ("exclusive", "additive"),
    "BITS_BY": ("position", "name"),
    "ABSENT": ("read as zero", "disarm"),
    "LIMIT": ("controls", "groups", "filters"),
    "EL0": ("EL0",),
}

# The words that begin a statement.
STATEMENTS = (
    "CONTEXT",
    "FEATURE",
    "MEMORY",
    "PROFILE",
    "REGISTER",
    "INSTRUCTION",
    "CONTROL",
    "CONDITION",
    "COMBO",
    "FINE",
    "TRAP",
    "REPLACE",
    "DROP",
    "LOCAL",
    "EXPECT",
    "TABLE",
    "USE",
)


def grammar_text() -> str:
    """The text of `grammar/trap.lark`."""
    with open(f"{grammar_root()}/trap.lark", encoding="utf-8") as file:
        return file.read()
