"""Starting, watching and stopping shadow instances. One file a runtime."""
