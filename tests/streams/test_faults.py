"""The points at which a test has the process killed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streams.faults import POINTS, Fault, points

ROOT = Path(__file__).resolve().parents[2]


def test_without_a_fault_every_point_is_passed() -> None:
    reach = points(None)
    for point in POINTS:
        reach(point)


def test_the_point_is_passed_until_its_turn_comes_and_others_always() -> None:
    died: list[str] = []
    reach = points(Fault.from_text("claimed:3"), died.append)
    for _ in range(2):
        for point in POINTS:
            reach(point)
    assert died == []
    reach("claimed")
    assert died == ["claimed"]


def test_a_fault_kills_the_process_without_a_word() -> None:
    code = "from streams.faults import *; points(Fault('decided'))('decided'); print('alive')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (-9, b"")


@pytest.mark.parametrize("text", ["nowhere", "claimed:0", "claimed:x", "claimed:-1", ""])
def test_a_point_that_is_not_there_is_an_error_that_names_those_that_are(text: str) -> None:
    with pytest.raises(ValueError, match=r"is one of|whole number"):
        Fault.from_text(text)


def test_each_point_stands_in_the_code_once() -> None:
    found = [
        point
        for folder in ("streams", "sender")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for point in re.findall(r'_reach\("([a-z-]+)"\)', path.read_text())
    ]
    assert sorted(found) == sorted(POINTS)
