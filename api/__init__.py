"""The REST API: documents, routes, problem documents, and manifests (which are the same documents as YAML)."""
