"""The bridge: a trained student becomes something a backend can load. Needs onnx, never torch."""
