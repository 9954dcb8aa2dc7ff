"""An experiment whose only trial sleeps, and who can reach its manager."""

import socket
import struct
from pathlib import Path

EXPERIMENT = """\
trialCommand: sleep 60
trialConcurrency: 1
maxTrialNumber: 1
searchSpace: {seed: {_type: choice, _value: [1]}}
experimentWorkingDirectory: ./nni-experiments
tuner: {name: Random}
trainingService: {platform: local}
"""
LISTEN = "0A"


def listening_on(port: int) -> set[str]:
    """Addresses with a listening TCP socket on ``port``, as ``ss -ltn`` shows them."""
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, number = local.split(":")
            if state == LISTEN and int(number, 16) == port:
                words = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
                found.add(socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words)))
    return found
