"""The life of profiles and shadow instances: the transitions, and the controller that makes them happen."""
