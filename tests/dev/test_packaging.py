from __future__ import annotations

import configparser
import re
import subprocess
from importlib.resources import files
from pathlib import Path

from faust.transport import by_url

from dev.embedded import Transport

ROOT = Path(__file__).parents[2]
TARGETS = ("demo", "test", "test-kafka", "bench", "up", "lint")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_that_setup_cfg_asks_for_is_pinned_with_its_hash() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    extras = config["options.extras_require"]
    text = "\n".join([config["options"]["install_requires"], extras["dev"], extras["test"]])
    wanted = {normal(re.split(r"[\[<>=;]", line)[0]) for line in text.split("\n") if line.strip()}
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^([\w.-]+)==\S+.*\\\n +--hash=sha256:", lock, re.MULTILINE)
    assert wanted - {normal(name) for name in pinned} == set()


def test_embedded_is_a_transport_that_faust_finds() -> None:
    assert by_url("embedded://127.0.0.1:9092") is Transport


def test_templates_are_found_wherever_the_package_is_installed() -> None:
    assert (files("templates") / "welcome" / "ru" / "subject.txt").is_file()


def test_make_alone_says_what_there_is() -> None:
    run = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True)
    for target in TARGETS:
        assert re.search(rf"^  make {target} +\S", run.stdout, re.MULTILINE), target
