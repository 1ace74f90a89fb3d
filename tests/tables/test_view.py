"""A view over a table against a plain dict."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tables.view import View


class Row(msgspec.Struct, frozen=True):
    number: int


class Numbers(View[Row]):
    name = "numbers"
    row = Row

    def __init__(self) -> None:
        super().__init__()
        #: The keys of even numbers: an index to be kept in step.
        self.even: set[str] = set()

    def index(self, key: str, old: Row | None, new: Row | None) -> None:
        if new is not None and new.number % 2 == 0:
            self.even.add(key)
        else:
            self.even.discard(key)

    def rebuild(self) -> None:
        self.even.clear()
        super().rebuild()


KEYS = st.sampled_from("abcd")


class ViewAgainstDicts(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.view = Numbers()
        self.log: dict[str, bytes] = {}
        self.merged: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.seen: dict[str, int] = {}

    @rule(key=KEYS, number=st.integers(0, 9))
    def put(self, key: str, number: int) -> None:
        self.view[key] = Row(number)
        self.seen[key] = number

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        del self.view[key]
        self.seen.pop(key, None)

    @rule()
    def keep(self) -> None:
        self.view.keep()
        self.kept = dict(self.seen)

    @rule()
    def undo(self) -> None:
        self.view.undo()
        self.seen = dict(self.kept)

    @rule()
    def merge(self) -> None:
        self.view.keep()
        for key, value in self.view.changelog():
            if value is None:
                del self.log[key]
            else:
                self.log[key] = value
        self.view.merge()
        self.kept = dict(self.seen)
        self.merged = dict(self.seen)

    @rule()
    def recover(self) -> None:
        self.view = Numbers()
        for key, value in self.log.items():
            self.view.load(key, value)
        self.view.rebuild()
        self.seen = dict(self.merged)
        self.kept = dict(self.merged)

    @invariant()
    def decisions_see_their_changes(self) -> None:
        found = {key: self.view.get(key) for key in "abcd"}
        assert {key: row.number for key, row in found.items() if row} == self.seen
        assert {key for key in "abcd" if key in self.view} == set(self.seen)

    @invariant()
    def memory_is_what_was_merged(self) -> None:
        assert {key: row.number for key, row in self.view.rows.items()} == self.merged
        assert self.view.even == {key for key, number in self.merged.items() if number % 2 == 0}

    @invariant()
    def size_counts_what_will_be_written(self) -> None:
        if not self.view.changes:
            assert self.view.size == 0


ViewAgainstDicts.TestCase.settings = settings(max_examples=150, stateful_step_count=25)
TestViewAgainstDicts = ViewAgainstDicts.TestCase


def test_a_row_that_was_made_and_deleted_in_one_batch_is_not_written() -> None:
    view = Numbers()
    view["a"] = Row(1)
    view.keep()
    del view["a"]
    view.keep()
    assert list(view.changelog()) == []
    assert view.size == 0


def test_a_decision_that_raises_is_undone_alone() -> None:
    view = Numbers()
    view["a"] = Row(1)
    view.keep()
    view["a"] = Row(2)
    view["b"] = Row(3)
    view.undo()
    assert view.get("a") == Row(1)
    assert "b" not in view
    assert list(view.changelog()) == [("a", b'{"number":1}')]
