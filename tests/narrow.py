"""Limits as the doors hold them, but so slow that no machine floods slower than they refill."""

from __future__ import annotations

from typing import Final

import pytest

from streams import limits
from streams.limits import Rate
from streams.web import limiter

ADDRESS: Final = Rate("address", 1, 60)
USER: Final = Rate("user", 1, 60)
FORM: Final = Rate("form", 1, 10)
#: Three times what is let through at once.
FLOOD: Final = 180
# No answer of Redis is late enough here to open the doors.
PATIENT: Final = 60.0


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold addresses, people and forms to these."""
    monkeypatch.setattr(limiter, "ADDRESS", ADDRESS)
    monkeypatch.setattr(limiter, "USER", USER)
    for form, rate in limiter.FORMS.items():
        if rate is limits.FORM:
            monkeypatch.setitem(limiter.FORMS, form, FORM)
    monkeypatch.setattr(limits, "WITHIN", PATIENT)
