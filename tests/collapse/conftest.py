"""What the tests of the pass start from."""

import pytest

from collapse_nodes import inputs


@pytest.fixture
def made():
    return inputs()
