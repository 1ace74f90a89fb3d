"""Benchmarks: each module measures one thing in its `run()`, beside its limit in the same run.

`python -m bench [NAME ...]` runs them. May import everything; nothing imports it.
"""
