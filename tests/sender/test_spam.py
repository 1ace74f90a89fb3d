"""What a spam filter makes of every mail: SpamAssassin with the rules that Debian ships."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sender.message import Mail, build
from sender.render import Renderer
from sender.samples import KIND_OF, sample_job, sample_links
from streams.settings import Settings

PROGRAM = shutil.which("spamassassin")
# What an administrator has fetched since would make this another test on each machine.
RULES = Path("/usr/share/spamassassin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no SpamAssassin on PATH")

SETTINGS = Settings(
    mail_from="Cinema <noreply@cinema.example>",
    public_url="https://n.cinema.example",
    cinema_url="https://cinema.example/",
)
# As a server with 8BITMIME gets them, and one without.
ALL = [
    (name, locale, eightbit)
    for name in sorted(KIND_OF)
    for locale in ("en", "ru")
    for eightbit in (True, False)
]
# MIXED_ES: over twenty Latin e and not many more Cyrillic ones, as where words are disguised. The
# links to ten films have that many by themselves, and a text part without them helps nobody.
BESIDE = {("personal_selection", "ru"): {"MIXED_ES"}}
CONFIGURATION = (
    "report_safe 0",
    "fold_headers 0",
    "add_header all Verdict _TESTSSCORES(,)_",
)
VERDICT = re.compile(rb"^X-Spam-Verdict: (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, float]]:
    """Give the rules that fired, with their scores, for each of ALL; one process asks for all."""
    folder = tmp_path_factory.mktemp("mails")
    renderer = Renderer(SETTINGS)
    paths = []
    for number, (name, locale, eightbit) in enumerate(ALL):
        job = sample_job(name, locale)
        links = sample_links(job, SETTINGS)
        mail = Mail.of(job, renderer.render(job, links), links, SETTINGS.mail_from, job.created_at)
        paths.append(folder / f"{number:02}.eml")
        paths[-1].write_bytes(build(mail, eightbit=eightbit))
    assert PROGRAM is not None
    done = subprocess.run(
        [
            *(PROGRAM, "--local", "--nocreate-prefs", f"--configpath={RULES}"),
            *(f"--cf={line}" for line in CONFIGURATION),
            *map(str, paths),
        ],
        env=os.environ | {"HOME": str(folder)},
        capture_output=True,
        check=True,
        timeout=100,
    )
    found = VERDICT.findall(done.stdout)
    assert len(found) == len(ALL), done.stderr.decode()
    return [
        {rule: float(score) for rule, score in (one.split("=") for one in line.decode().split(","))}
        for line in found
    ]


@pytest.mark.parametrize("number", range(len(ALL)), ids=["-".join(map(str, one)) for one in ALL])
def test_a_spam_filter_finds_nothing_in_a_mail(
    verdicts: list[dict[str, float]], number: int
) -> None:
    fired = verdicts[number]
    # It read the mail: what every mail with an HTML part is noted for.
    assert "HTML_MESSAGE" in fired
    beside = BESIDE.get(ALL[number][:2], set())
    assert beside <= fired.keys()
    # Of the five points that make a mail spam. What is said for a mail makes up for nothing here.
    held = {rule: score for rule, score in fired.items() if score > 0 and rule not in beside}
    assert sum(held.values()) < 1.0, held
