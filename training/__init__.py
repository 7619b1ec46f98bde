"""Learning: the student, its teachers, and Algorithm 1. Needs torch."""
