"""The demo: the main job, end to end, on a real Envoy."""
