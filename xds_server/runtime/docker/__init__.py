"""Shadows that are containers of a Docker engine, on this machine or another."""
