"""Whether a mail that did not come was refused by the mail server, as the service says."""

from __future__ import annotations

import re
from typing import Final

from dev.chaos.evidence import Delivery, Evidence, Job
from streams.jobs import FINAL_STATUSES

# The number that the server puts into each bad answer.
NUMBER: Final = re.compile(r"\bno\. (\d+)\b")
SUPPRESSED: Final = "suppressed: "


class Refusals:
    """The mail server's refusals, by their numbers."""

    def __init__(self, evidence: Evidence) -> None:
        self._now = evidence.now
        self._lines = {line.number: line for line in evidence.mails if line.what == "refused"}

    def unexplained(self, job: Job, said: list[Delivery]) -> str | None:
        """Return what is wrong about a job whose mail never came; None if it is explained."""
        finals = [one for one in said if one.status in FINAL_STATUSES]
        if not finals:
            return None if self.is_to_come(job) else "has no outcome and no time to be tried again"
        final = finals[0]
        if final.status == "failed" and self._gave(final.reason, job.to, "5"):
            return None
        suppressed = final.status == "skipped" and final.reason.startswith(SUPPRESSED)
        if suppressed and self._gave(final.reason, job.to, "550 5.1.1"):
            return None
        return f"was {final.status}: {final.reason}"

    def is_to_come(self, job: Job) -> bool:
        """Tell whether the job's next try is still ahead."""
        return job.not_before is not None and job.not_before > self._now

    def _gave(self, reason: str, to: str, code: str) -> bool:
        """Tell whether the server gave that very answer, to that address where it knew it."""
        found = NUMBER.search(reason)
        line = self._lines.get(int(found[1])) if found else None
        return line is not None and line.code.startswith(code) and line.to in ("", to)
