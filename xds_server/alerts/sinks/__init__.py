"""Where alerts go: one file a kind of receiver, chosen in `factory`."""
