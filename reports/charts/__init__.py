"""Charts for a paper, as files that stand alone."""
