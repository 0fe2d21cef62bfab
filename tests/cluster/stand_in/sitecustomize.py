"""Lets the processor play the part of the device "cuda" in every Python process that finds this folder on PYTHONPATH.

Only what measures is replaced: choosing, locking and pinning GPUs, records and workflow are the real ones.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
import time
from dataclasses import replace

ADAPTER = "jetbench.measure.backends.torch"
CALL_S = 0.02


class Loader(importlib.abc.Loader):
    def __init__(self, real):
        self.real = real

    def create_module(self, spec):
        return self.real.create_module(spec)

    def exec_module(self, module):
        self.real.exec_module(module)
        open_session, description = module.open_session, module.description
        module.open_session = lambda device, threads=None: Session(open_session("cpu", threads))
        module.description = lambda device: description("cpu")


class Session:
    def __init__(self, session):
        self.session = session

    def prepare(self, case):
        subject = self.session.prepare(replace(case, device="cpu"))
        value = subject.value

        def slowly():
            time.sleep(CALL_S)  # so that measurements take time without keeping a core from other tests
            return value()

        subject.value = slowly
        return subject

    def __getattr__(self, name):
        return getattr(self.session, name)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != ADAPTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = Loader(spec.loader)
        return spec


sys.meta_path.insert(0, Finder())
