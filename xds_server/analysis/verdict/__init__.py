"""From evidence to a verdict: checks, the family of their hypotheses, the whole.

`judge` (a profile) asks for each version `ruling`, which asks `places` (mirrored) or `split` what each check measures
at each place (`rates`, `times`, `readings`: a `Measured`), `held` whether anything may be decided, `hypotheses` what is
refuted, and `rows`, `reasons` and `summary` how to say it; then `ranking`, `harm` and `resilience`. `case` is what goes
in, `verdict` what comes out. All of it is pure: time is passed in, nothing is kept but the `State` that is handed on.
"""
