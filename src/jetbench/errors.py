"""Errors that users see. The command line prints their message in one line and exits with status 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import version

LISTED = 40  # names that a message about an unknown one lists


class JetbenchError(Exception):
    """Something the user can put right; the message says what was given, what was expected and what to do."""


class Unsupported(JetbenchError):
    """A method cannot do this problem; the message is a sentence that says why."""


class BackendUnavailable(JetbenchError):
    """A backend's framework is not installed, or sees no device of the kind asked for."""


class ConfigError(JetbenchError):
    """A config that cannot be used; the message names the key, the value and what is allowed."""


class MissingExtra(JetbenchError):
    """A package that belongs to an extra of this one is not installed; the message says what to install."""


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Around imports of what an extra installs.

    Args:
        extra: its name in pyproject.toml, such as `bench`.
        what: what needs it, the beginning of the message's sentence.

    Raises:
        MissingExtra: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __package__:
            raise
        message = f"{what} needs the package {error.name}, which is not installed: pip install 'jetbench[{extra}]'"
        raise MissingExtra(message) from error


class Interrupted(BaseException):
    """The user or the system asked to stop; what was finished is recorded.

    Like KeyboardInterrupt it is no Exception, so that nothing on the way takes it for a failure and goes on.

    Attributes:
        status: the exit status, 128 plus the signal's number.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class MissingRule(Unsupported):
    """An operation of the network has no rule for jets."""


def library_failed(library: str, error: Exception) -> Unsupported:
    """What to raise where a public library cannot do a network: its name and version, and what it said."""
    said = " ".join(str(error).split())
    said = f": {said[:200]}" if said else ""
    return Unsupported(f"{library} {version(library)} cannot do this network: {type(error).__name__}{said}")


class MixedRows(JetbenchError):
    """The network mixes the rows of x, which are to be independent points."""


class NetworkFailed(JetbenchError):
    """The network itself raises an error for x of this shape, type and device."""

    def __init__(self, shape: tuple[int, ...], dtype: object, device: object, error: Exception) -> None:
        super().__init__(
            f"The network could not be run on x of shape {tuple(shape)}, type {dtype} and device {device}: "
            f"{type(error).__name__}: {error}"
        )


def unknown(what: str, given: object, allowed: Iterable[object], where: str = "") -> str:
    """The sentence for a name that is not one of the allowed ones; it proposes a similar one where there is one.

    Args:
        what: what kind of name it is, such as "method".
        given: the name.
        allowed: the names that there are.
        where: the place of a config or an option; it comes first.
    """
    names = [str(name) for name in allowed]
    similar = get_close_matches(given, names, 1) if isinstance(given, str) and len(given) < 100 else ()
    proposal = f" Did you mean {similar[0]!r}?" if similar else ""
    listed = ", ".join(names[:LISTED]) + (f", … ({len(names)} in all)" if len(names) > LISTED else "")
    sentence = f"nknown {what} {given!r}; allowed: {listed or 'none'}.{proposal}"
    return f"{where}: u{sentence}" if where else f"U{sentence}"
