"""What a person may say to a rollout."""

from typing import Literal

from api.schemas.base import Document
from xds_server.lifecycle.rollout import RolloutAction

ActionName = Literal["pause", "resume", "promote", "abort"]


class RolloutBody(Document):
    """What is to become of a profile's way through its steps."""

    action: ActionName
    """`pause`: no further step, what is sent stays as it is. `resume`: hold and timeout begin anew. `promote`: the next
    step now, whatever the verdict. `abort`: nothing is sent to the version any more, for good."""

    def to_model(self) -> RolloutAction:
        """Return the action."""
        return RolloutAction(self.action)
