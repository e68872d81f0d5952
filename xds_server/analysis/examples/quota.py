"""How many examples a window may make, so that they cost the engine a bounded share of its time.

To make an example takes as long as to compare ten pairs or more. Guarantees: `A_WINDOW` of them at most, whatever
differs and however many profiles and shadows there are; each of these gets its share, as large as their number in the
window before allows. One that has used up half of its share gets but one more for each field, so that the first
fields seen do not take it all.
"""

A_WINDOW = 200
"""Examples of a window, of all profiles and shadows; so many stay well below gRPC's message limit too."""

Owner = tuple[str, str]
"""Profile and instance."""


class Quota:
    """What is left in the open window."""

    __slots__ = ("_left", "_share", "_used")

    def __init__(self) -> None:
        self._left = A_WINDOW
        self._share = A_WINDOW
        self._used: dict[Owner, int] = {}

    def turn(self) -> None:
        """Begin another window."""
        self._share = max(1, A_WINDOW // max(1, len(self._used)))
        self._left = A_WINDOW
        self._used = {}

    def each(self, owner: Owner, keep: int) -> int:
        """Return how many examples a field may have for now: `keep`, or fewer as the window's run out."""
        used = self._used.get(owner, 0)
        if self._left <= 0 or used >= self._share:
            return 0
        return keep if used * 2 < self._share else min(keep, 1)

    def use(self, owner: Owner) -> None:
        """Take note that one was made, or tried."""
        self._left -= 1
        self._used[owner] = self._used.get(owner, 0) + 1
