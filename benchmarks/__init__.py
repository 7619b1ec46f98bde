"""jm-bench: measure. A table for people, the last line JSON for programs."""

from engine.silence import keep_matplotlib_in_cache

keep_matplotlib_in_cache()  # before any of our modules draws; `engine` itself switches off what others would report
