"""Choice of the node that a shadow runs on, by topology and load."""
