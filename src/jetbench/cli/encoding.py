"""Output in any encoding: characters that an encoding lacks are spelled out instead of raising an error."""

from __future__ import annotations

import codecs
import re
import sys
import unicodedata

HANDLER = "jetbench-readable"
SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
#: Signs without a name that could be written in their place.
SIGNS = {
    "→": "->", "↦": "->", "←": "<-", "−": "-", "⁻": "-", "–": "-", "—": "-", "·": "*", "×": "x", "⊗": "(x)", "±": "+-",
    "∂": "d", "∇": "nabla", "Σ": "Sum", "√": "sqrt", "∞": "inf", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∈": "in",
    "⟨": "<", "⟩": ">", "‖": "||", "⌊": "[", "⌋": "]", "½": "1/2", "ᵀ": "^T", "ᴴ": "^H", "µ": "u",
}  # fmt: skip


def make_writable() -> None:
    """Make the standard output and the standard error accept every text, whatever their encoding."""
    codecs.register_error(HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


def readable(text: str, encoding: str) -> str:
    """A text with the characters that an encoding lacks spelled out, for layouts that count characters."""
    codecs.register_error(HANDLER, _replaced)
    return text.encode(encoding, HANDLER).decode(encoding)


def plain(text: str) -> str:
    """A text in ASCII; exponents are written after a caret."""
    raised = SUPERSCRIPTS.sub(lambda match: "^" + unicodedata.normalize("NFKD", match[0]), text)
    return "".join(c if c.isascii() else _plain(c) for c in raised)


def _plain(character: str) -> str:
    """A character in ASCII: a sign spelled out, a letter without its accents, a Greek letter's name, or "?"."""
    if character in SIGNS:
        return SIGNS[character]
    decomposed = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    if decomposed:
        return decomposed
    name = unicodedata.name(character, "")
    letter = name.rpartition(" LETTER ")[2].partition(" ")[0] if name.startswith("GREEK") else ""
    return letter.capitalize() if " CAPITAL " in name else letter.lower() or "?"
