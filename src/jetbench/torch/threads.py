"""One evaluation at a time: PyTorch's levels of forward mode and its tracers belong to the process, not to a thread.

The network is also put back after a run as it was before, which two runs at once would undo for each other. Threads
that call operators thus wait for each other; kernels of one call still use all cores or the whole GPU.
"""

from __future__ import annotations

import os
import threading

_LOCKS = [threading.RLock()]


def alone() -> threading.RLock:
    """A context that one thread at a time can be in, as often as it likes."""
    return _LOCKS[0]


def _renew() -> None:
    """A forked process begins with a free lock, since the thread that may have held it is not there."""
    _LOCKS[0] = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
