"""jm-bench: measure. A table for people, the last line JSON for programs."""
