"""Names of things, told apart by the type checker. All are plain strings at run time."""

from typing import NewType

NetworkID = NewType("NetworkID", str)
"""UUID of a virtual network."""
ProfileID = NewType("ProfileID", str)
"""UUID of a shadowing profile."""
InstanceID = NewType("InstanceID", str)
"""UUID of a shadow instance."""
FaultID = NewType("FaultID", str)
"""UUID of an injected fault."""
