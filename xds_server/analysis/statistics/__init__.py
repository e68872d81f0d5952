"""Always-valid statistics: e-processes, confidence sequences, families. Nothing of Envoy, nothing of us."""
