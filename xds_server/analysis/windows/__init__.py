"""What was seen in a stretch of time: counts, sketches, timelines, and what of it is noise."""
