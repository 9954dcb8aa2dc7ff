"""Children as ONNX files that are timed: on this machine, or by the script of a kit on any other."""
