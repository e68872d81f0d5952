"""Alerts: what was compared -> conditions -> alerts -> sinks (Alertmanager, a webhook, the log)."""
