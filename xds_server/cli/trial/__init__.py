"""`shadowmesh try`: a service that runs already and a new version of it, judged without a manifest or a server."""
