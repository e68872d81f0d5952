"""From the model to Envoy resources. Pure: no I/O, no clock, no chance."""
