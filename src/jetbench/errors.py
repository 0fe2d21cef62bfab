"""Errors that users can act on; the command line prints them in one line and exits with status 2."""


class JetbenchError(Exception):
    """An error whose message says what was given, what is expected and what to do."""


class Unsupported(JetbenchError):
    """A method cannot do what was asked; the message is a sentence that says why."""


class MissingRule(Unsupported):
    """An operation of the network has no rule for jets."""


class MixedRows(JetbenchError):
    """The network mixes the rows of x, which are to be independent points."""
