"""Code, data and references made from a table: C, Rust, JSON, test vectors, Markdown.

Every form is a text that is the same for the same table, and says at its top what made
it, from what, and that nobody should edit it.
"""

from __future__ import annotations

from nvtrap.emit.emission import Emission
from nvtrap.emit.licence import checked_licence

__all__ = ["FORMS", "Emission", "checked_licence", "rendered"]

# Each form with the ending of its file.
FORMS = {"c": ".c", "rust": ".rs", "json": ".json", "vectors": ".h", "markdown": ".md"}


def rendered(emission: Emission, form: str, licence: str, header: str) -> dict[str, str]:
    """The texts of a form by the ending of their files; only C has two.

    `licence` is an SPDX expression, `header` the name of the C header that C files include.
    """
    if form == "c":
        from nvtrap.emit import c, c_header

        source = c.source(emission, licence, header)
        return {".h": c_header.header(emission, licence), ".c": source}
    if form == "vectors":
        from nvtrap.emit import vectors

        return {FORMS[form]: vectors.render(emission, licence, header)}
    from importlib import import_module

    text: str = import_module(f"nvtrap.emit.{form}").render(emission, licence)
    return {FORMS[form]: text}
