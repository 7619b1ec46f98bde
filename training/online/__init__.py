"""Learning while the engine runs (the paper's section 4): one operation per frame, on the learner's thread."""
