"""The xDS transport protocol: subscriptions, state of the world, delta, streams, services, and what Envoys said."""
