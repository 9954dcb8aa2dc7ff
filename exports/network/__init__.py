"""What a space without cells is made of, in the order it runs: traced once, kept as ``network.json``, drawn later."""

from exports.network.graph import NETWORK_FILE, Network, Node, read_network, write_network

__all__ = ["NETWORK_FILE", "Network", "Node", "read_network", "write_network"]
