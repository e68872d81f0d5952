"""Tests of what a manager, an engine and an Envoy are set up with for a while."""
