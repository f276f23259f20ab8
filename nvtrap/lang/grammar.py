"""The grammar file, and what its terminals are called in messages."""

from __future__ import annotations

from nvtrap.places import grammar_root

# Terminals that are no words.
TERMINALS = {
    "NAME": "a name",
    "WILDCARD": "a wildcard such as `S3_*_C11_*_*`",
    "TABLE_NAME": "a table's name",
    "INT": "a number",
    "STRING": "a text in quotes",
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
    "ABSENT_AS": ("read as zero", "disarm"),
    "LIMIT_OF": ("controls", "groups", "filters"),
    "HOST_EL0": ("also in host EL0",),
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


def in_words(terminal: str) -> list[str]:
    """What a terminal is called in messages; nothing for the end of the text."""
    if terminal in TERMINALS:
        return [TERMINALS[terminal]] if TERMINALS[terminal] else []
    return [f"`{word}`" for word in words_of(terminal)]


def words_of(terminal: str) -> tuple[str, ...]:
    """The words that a terminal stands for; none for one that is no word."""
    if terminal in TERMINALS:
        return ()
    return WORDS.get(terminal, (terminal.lower(),))


def grammar_text() -> str:
    """The text of `grammar/trap.lark`."""
    with open(f"{grammar_root()}/trap.lark", encoding="utf-8") as file:
        return file.read()
