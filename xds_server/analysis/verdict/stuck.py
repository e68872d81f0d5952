"""Why no more evidence about a version can come, so that nothing is to be waited for.

Guarantees: pure. Not guaranteed: that what is on its way already does not still decide.
"""

from xds_server.analysis.verdict.case import Case


def stuck(case: Case, variant: str) -> str:
    """Return why nothing more can be learnt about a version; empty: it can."""
    if variant in case.gone:
        return f"{variant} does not run: {case.gone[variant] or 'no reason is known'}"
    if not case.alone:
        return ""
    users = f"all users with {case.cohort.key}" if case.cohort else "all users"
    those, weights = ("them", "weights") if len(case.alone) > 1 else ("it", "weight")
    return (
        f"{users} are at {' and '.join(case.alone)}: no original is left to compare {those} with; "
        f"lower the {weights} to be judged"
    )
