"""What a Masker and `jm-engine` do where nothing else was said. Imports nothing, so that --help comes at once."""

STUDENT = "lite"
LEARNING_BUDGET = 10.0  # percent of one core
