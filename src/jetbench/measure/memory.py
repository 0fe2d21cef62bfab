"""Peak memory of a call, from the events of an allocator. How a backend gets the events is its own concern."""

from __future__ import annotations

from collections.abc import Iterable


def peak(changes: Iterable[int]) -> int:
    """The largest number of bytes that were live at once, of those allocated during the call.

    Args:
        changes: bytes of each allocation (positive) and release (negative), in the order of time. What was allocated
            before the call may be released in it: it counts as less than nothing only until the level is made up for,
            so that the result is the peak above the level at the call's start.
    """
    live = highest = 0
    for change in changes:
        live += change
        highest = max(highest, live)
    return highest
