"""The workers' numbers, read over HTTP from their /metrics."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import aiohttp

#: A gauge's labels and value.
Samples = list[tuple[dict[str, str], float]]

LINE: Final = re.compile(r"^(cinema_\w+?)(?:\{(.*?)\})? (\S+)$", re.MULTILINE)
LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Gauges:
    """One reading of some workers."""

    def __init__(self, pages: Sequence[str]) -> None:
        self._samples: defaultdict[str, Samples] = defaultdict(list)
        for page in pages:
            for name, labels, value in LINE.findall(page):
                self._samples[name].append((dict(LABEL.findall(labels)), float(value)))

    def __add__(self, other: Gauges) -> Gauges:
        both = Gauges(())
        for one in (self, other):
            for name, samples in one._samples.items():
                both._samples[name] += samples
        return both

    def of(self, name: str) -> Samples:
        """Return a gauge's samples, of all these workers."""
        return self._samples[name]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a gauge over the samples that carry those labels."""
        return sum(value for found, value in self._samples[name] if labels.items() <= found.items())

    def shared(self, name: str, **labels: str) -> float:
        """Return a gauge that every worker reads from the same store."""
        found = [value for its, value in self._samples[name] if labels.items() <= its.items()]
        return max(found, default=0.0)


async def read(session: aiohttp.ClientSession, workers: Sequence[str], *names: str) -> Gauges:
    """Read the numbers of workers at once; of `names` alone if there are any."""
    return Gauges(await asyncio.gather(*(_page(session, url, names) for url in workers)))


async def _page(session: aiohttp.ClientSession, url: str, names: Sequence[str]) -> str:
    asked = [("name[]", name) for name in names]
    async with session.get(f"{url}/metrics", params=asked) as response:
        response.raise_for_status()
        return await response.text()
