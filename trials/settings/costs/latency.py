"""How latency is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from snas_nni.ranges import check_ranges, ranged

__all__ = ["LatencySettings"]


@dataclass(frozen=True, kw_only=True)
class LatencySettings:
    """The clock of latencies: what runs the child, and how.

    Args:
        clock: onnxruntime, as deployed; or pytorch, which only ranks children
        threads: of ONNX Runtime within an operator, at least 1
        batch: inputs of one run, at least 1
        provider: execution provider of ONNX Runtime
        optimization: of the graph by ONNX Runtime: all, extended, basic or disabled
        int8: time the files quantized to 8 bits
        children: measured to fit a table to; null for as many as the space needs
        held_out: further children, that the table is compared with
        passes: how often each is timed, at least 1
    """

    clock: Literal["onnxruntime", "pytorch"] = "onnxruntime"
    threads: int = ranged(1, at_least=1)
    batch: int = ranged(1, at_least=1)
    provider: str = "CPUExecutionProvider"
    optimization: Literal["all", "extended", "basic", "disabled"] = "all"
    int8: bool = False
    children: int | None = ranged(None, at_least=3)
    held_out: int = ranged(20, at_least=0)
    passes: int = ranged(4, at_least=1)

    def __post_init__(self) -> None:
        check_ranges(self, "latency.")

    @property
    def runtime(self) -> dict[str, Any]:
        """What ONNX Runtime is told, as :func:`exports.latency.clock.onnxruntime_timer` takes it."""
        return {
            "threads": self.threads,
            "batch": self.batch,
            "provider": self.provider,
            "optimization": self.optimization,
        }
