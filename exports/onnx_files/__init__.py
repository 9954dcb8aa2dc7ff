"""From a child to an ONNX file, which is run before it is called a success."""
