"""Do the users whom chance has sent to one version fare worse? Evidence of users, not of requests, always valid.

A user counts with the first request, and with the first failure. Whether users fail is settled by what they are (data
that no version can handle) and by the version; which version they have is settled by chance. So if the versions are
alike, each user who fails for the first time is at the candidate with just its share of the users, however many
requests they make, whichever users fail and whenever; and so is each user whose first request went well. Bets are on
more of the one and fewer of the other, each with money of its own, since they are the same users: most of it (`FAILED`)
on failures. Those who were served well tell more where nearly all users are at the candidate.

Source: randomisation as the basis of inference, Fisher 1935, ch. 2; the bets are those of `proportion` (2010.09686).
Assumes: who is sent where does not depend on who fails; the share was the same throughout.
Not guaranteed: that a version is not called worse for an outage of its own, which hits its users only. What every user
meets sooner or later (an error in a thousand requests) is evidence only as long as it takes until all have met it.
"""

from xds_server.analysis.statistics.family import weighted_mean
from xds_server.analysis.statistics.proportion import Proportion, log_evidence_below

FAILED = 0.8


def log_evidence_worse(failed: Proportion, well: Proportion, share: float) -> float:
    """Return the log e-value against "users of the candidate fail no more often than others".

    Args:
        failed: users that failed at all; hits: of the candidate.
        well: users whose first request went well; hits: of the candidate.
        share: the candidate's of the users, 0 to 1; at either end there is nothing to compare.
    """
    if not 0 < share < 1:
        return 0.0
    # That few of them are the original's, which is the same, is bet on more boldly.
    by_failures = log_evidence_below(Proportion(failed.pairs, failed.misses), 1 - share)
    return weighted_mean([by_failures, log_evidence_below(well, share)], [FAILED, 1 - FAILED])
