"""An empty partition."""

from __future__ import annotations

import pytest

from tables.films import Films
from tables.partition import Tables


@pytest.fixture
def tables() -> Tables:
    """Return the tables of a new partition."""
    return Tables(Films(), "UTC")
