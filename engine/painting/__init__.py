"""The paint path: one frame, one picture. On the CPU, on the GPU; the students that paint, and how they are swapped."""
