"""Tests of `shadowmesh try` without an Envoy."""
