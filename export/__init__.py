"""The bridge: a trained student becomes something a backend can load. Needs neither onnx nor torch."""
