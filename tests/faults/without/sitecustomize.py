"""Python as if the packages that the variable WITHOUT names, joined by commas, were not installed."""

import os
from importlib.machinery import PathFinder

MISSING = os.environ.get("WITHOUT", "").split(",")
find_spec = PathFinder.find_spec


def without(name, path=None, target=None):
    return None if name.partition(".")[0] in MISSING else find_spec(name, path, target)


PathFinder.find_spec = without
