"""Learning: the student, its teachers, and Algorithm 1. Needs torch."""

import engine  # noqa: F401 (first of all: it switches off what others would report)
