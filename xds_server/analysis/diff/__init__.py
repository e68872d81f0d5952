"""Two answers compared: status, headers, bodies of every sort, by the rules of a profile."""
