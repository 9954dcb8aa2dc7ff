"""Latency as the runtime has it: tables of this machine, kits for others, and the finished child."""
