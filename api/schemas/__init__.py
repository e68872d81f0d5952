"""The documents of REST and manifests, under the specification's own names, and their way to and from the model."""
