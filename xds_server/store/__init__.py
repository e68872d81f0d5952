"""What survives a restart. One file a backend."""
