"""Output in any encoding: characters that it does not have are written in others, and nothing is refused."""

from __future__ import annotations

import codecs
import sys
import unicodedata

HANDLER = "jetbench-readable"
#: Signs without a name that could be written in their place.
SIGNS = {
    "→": "->", "↦": "->", "←": "<-", "−": "-", "⁻": "-", "–": "-", "—": "-", "·": "*", "×": "x", "⊗": "(x)", "±": "+-",
    "∂": "d", "∇": "nabla", "Σ": "Sum", "√": "sqrt", "∞": "inf", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∈": "in",
    "⟨": "<", "⟩": ">", "‖": "||", "⌊": "[", "⌋": "]", "½": "1/2", "ᵀ": "^T", "ᴴ": "^H", "µ": "u",
}  # fmt: skip


def make_writable() -> None:
    """Let the standard output and the standard error take every text, whatever their encoding."""
    codecs.register_error(HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


def plain(character: str) -> str:
    """A character in ASCII: a sign spelled out, a letter without its accents, a Greek letter's name, or "?"."""
    if character in SIGNS:
        return SIGNS[character]
    decomposed = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    if decomposed:
        return decomposed
    name = unicodedata.name(character, "")
    letter = name.rpartition(" LETTER ")[2].partition(" ")[0] if name.startswith("GREEK") else ""
    return letter.capitalize() if " CAPITAL " in name else letter.lower() or "?"
