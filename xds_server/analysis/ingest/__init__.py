"""What Envoys send: records of both legs, their pairs, and the books of what is missing."""
