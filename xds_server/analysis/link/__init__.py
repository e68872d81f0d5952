"""Windows on their way from the engines to the manager, and what the engines are told."""
