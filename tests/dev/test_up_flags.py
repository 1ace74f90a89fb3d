from __future__ import annotations

from pathlib import Path

import pytest

from dev.stack import Options
from dev.up import read


def test_without_flags_it_is_the_embedded_stack_on_the_wall_clock() -> None:
    assert read([]) == Options(broker="embedded", clock="wall", streams=1, sender=1, smtp=True)


def test_all_flags_of_the_contract_are_read() -> None:
    flags = "--broker 127.0.0.1:9092 --clock topic --streams 2 --sender 3 --data x --no-smtp"
    assert read(flags.split()) == Options(
        broker="127.0.0.1:9092", clock="topic", streams=2, sender=3, data=Path("x"), smtp=False
    )


@pytest.mark.parametrize(
    "flags", ["--broker kafka://h:1", "--clock none", "--streams 0", "--sender x", "--what"]
)
def test_a_wrong_flag_is_named(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read(flags.split())
    assert ended.value.code == 2
    assert flags.split()[0] in capsys.readouterr().err
