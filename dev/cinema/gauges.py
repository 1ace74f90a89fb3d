"""The workers' numbers, read over HTTP from their /metrics."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import aiohttp

from dev.cinema.tail import Place

#: A gauge's labels and value.
Samples = list[tuple[dict[str, str], float]]

LINE: Final = re.compile(r"^(cinema_\w+?)(?:\{(.*?)\})? (\S+)$", re.MULTILINE)
LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Gauges:
    """One reading of all workers."""

    def __init__(self, pages: Sequence[str]) -> None:
        self._samples: defaultdict[str, Samples] = defaultdict(list)
        for page in pages:
            for name, labels, value in LINE.findall(page):
                self._samples[name].append((dict(LABEL.findall(labels)), float(value)))

    def of(self, name: str) -> Samples:
        """Return a gauge's samples, of all workers."""
        return self._samples[name]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a gauge over the samples that carry those labels."""
        return sum(value for found, value in self._samples[name] if labels.items() <= found.items())

    def positions(self) -> dict[Place, int]:
        """Return how far each partition has been processed, by the slowest of its readers."""
        found: dict[Place, int] = {}
        for labels, value in self._samples["cinema_position"]:
            place = labels["topic"], int(labels["partition"])
            found[place] = min(found.get(place, int(value)), int(value))
        return found


async def read(session: aiohttp.ClientSession, workers: Sequence[str]) -> Gauges:
    """Read the numbers of all workers at once."""
    return Gauges(await asyncio.gather(*(_page(session, url) for url in workers)))


async def _page(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(f"{url}/metrics") as response:
        response.raise_for_status()
        return await response.text()
