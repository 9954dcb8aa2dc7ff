"""``snas-nni latency``: tables of what each candidate takes in the runtime that deploys it, on any device."""

from trials.verbs.latency.command import run

__all__ = ["run"]
