"""A manager with its engine and a real Envoy, set up for a while in a folder of their own: `demo` and `try`."""
