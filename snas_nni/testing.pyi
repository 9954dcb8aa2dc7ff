from exports.conformance import SpaceReport, check_space

__all__ = ["SpaceReport", "check_space"]
