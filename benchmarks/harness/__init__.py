"""What the benches share: clips, runs, scores, timing, results."""
