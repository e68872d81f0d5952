"""The analysis engine: access-log entries in, pairs, differences, windows of mergeable summaries out."""
