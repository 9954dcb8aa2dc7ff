"""Latency tables against measured children: ``python -m benchmarks.latency``."""
