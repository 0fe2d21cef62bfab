"""Constants of the functions: the same numbers in both backends, whatever else is drawn and in whatever order."""

from __future__ import annotations

import zlib

import numpy as np


def normal(name: str, *shape: int) -> np.ndarray:
    """Standard normal numbers that depend on the name and the shape alone."""
    return np.random.default_rng([zlib.crc32(name.encode()), *shape]).standard_normal(shape)


WEIGHT = normal("weight", 6, 3)
MIXED = normal("mixed", 6, 6)
THIRD = normal("third", 4, 6, 6) / 3
ROWS = normal("rows", 5, 6)
INDEX = np.array([3, 0, 0, 5])
DISTINCT = np.array([3, 0, 5])
MASK = np.array([True, False, True, True, False, False])
POINTS = np.array([[0.31, -0.42, 0.13], [-0.25, 0.48, 0.71]])
