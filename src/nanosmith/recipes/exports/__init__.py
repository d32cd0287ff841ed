"""Bundles in the formats of other runtimes: ONNX, OpenVINO, Core ML, LiteRT and GGUF."""
