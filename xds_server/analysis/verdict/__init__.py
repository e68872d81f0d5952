"""From evidence to a verdict: checks, the family of their hypotheses, the whole."""
