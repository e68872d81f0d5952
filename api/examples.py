"""The bodies that the OpenAPI document and docs/api.md show; a test sends each of them."""

from typing import Any

NETWORK: dict[str, Any] = {
    "name": "shop",
    "components": [
        {
            "name": "catalog",
            "protocol": "http1",
            "listen": {"address": "127.0.0.1", "port": 10000},
            "endpoints": [{"address": "127.0.0.1", "port": 9001}],
        }
    ],
}
PROFILE: dict[str, Any] = {
    "componentName": "catalog",
    "trafficShadowingPercentage": 0.5,
    "shadowInstanceTTL": "10m",
    "faultInjectionParameters": {
        "delay": {"fixedDelay": "200ms", "percentage": 50},
        "abort": {"httpStatus": 503, "percentage": 20},
    },
    "performanceMetrics": ["response_time", "error_rate", "cpu", "memory"],
    "match": {"methods": ["GET"], "pathPrefix": "/"},
    "variants": [{"name": "v2", "process": {"command": ["python", "app.py", "--port", "{port}"], "env": {}}}],
}
PROFILE_OF_WHAT_RUNS: dict[str, Any] = {
    "name": "catalog-v3",
    "componentName": "catalog",
    "trafficShadowingPercentage": 0.1,
    "shadowInstanceTTL": "1h",
    "variants": [{"name": "v3", "endpoint": {"address": "127.0.0.1", "port": 9003}}],
}
PROFILE_WITH_CONTROL: dict[str, Any] = {
    "name": "catalog-v4",
    "componentName": "catalog",
    "trafficShadowingPercentage": 0.1,
    "shadowInstanceTTL": "1h",
    "variants": [{"name": "v4", "endpoint": {"address": "127.0.0.1", "port": 9004}}],
    "control": {"endpoint": {"address": "127.0.0.1", "port": 9001}, "duration": "10m"},
}
PROFILE_WITH_CHECKS: dict[str, Any] = {
    "name": "catalog-v5",
    "componentName": "catalog",
    "trafficShadowingPercentage": 0.1,
    "shadowInstanceTTL": "1h",
    "variants": [{"name": "v5", "endpoint": {"address": "127.0.0.1", "port": 9005}}],
    "analysis": {
        "alpha": 0.01,
        "warmUp": "30s",
        "minPairs": 100,
        "onFail": "stop",
        "checks": [
            {"metric": "error_rate", "maxIncrease": 0.005, "critical": True},
            {"metric": "difference_rate", "maxRate": 0.001},
            {"metric": "response_time", "quantile": 0.99, "maxRatio": 1.1},
            {"metric": "memory", "maxRatio": 1.2, "weight": 0.5},
            {
                "metric": "prometheus",
                "name": "checkout_errors",
                "query": 'sum(rate(checkout_errors_total{job="{component}", version="{variant}"}[{window}]))',
                "maxRatio": 1.1,
            },
        ],
    },
}
PROFILE_OF_A_SPLIT: dict[str, Any] = {
    "name": "catalog-v6",
    "componentName": "catalog",
    "trafficShadowingPercentage": 1,
    "shadowInstanceTTL": "4h",
    "mode": "split",
    "split": {"cohort": {"cookie": "session"}, "weights": {"v6": 10}},
    "match": {"methods": ["GET", "POST"], "pathPrefix": "/cart"},
    "variants": [{"name": "v6", "endpoint": {"address": "127.0.0.1", "port": 9006}}],
}
PROFILE_WITH_STEPS: dict[str, Any] = {
    "name": "catalog-v7",
    "componentName": "catalog",
    "trafficShadowingPercentage": 0.2,
    "shadowInstanceTTL": "4h",
    "split": {"cohort": {"header": "x-user-id"}},
    "steps": [
        {"mode": "shadow", "hold": "10m", "timeout": "1h"},
        {"mode": "split", "weights": {"v7": 5}, "hold": "10m", "timeout": "1h"},
        {"mode": "split", "weights": {"v7": 50}, "hold": "30m", "timeout": "1h"},
    ],
    "variants": [{"name": "v7", "endpoint": {"address": "127.0.0.1", "port": 9007}}],
}
CHANGE: dict[str, Any] = {"trafficShadowingPercentage": 0.05, "shadowInstanceTTL": "1h30m"}
PROMOTE: dict[str, Any] = {"action": "promote"}
NO_FAULTS: dict[str, Any] = {"faultInjectionParameters": {}}
FAULT: dict[str, Any] = {
    "instanceID": "0b7e3f52-6e0a-4a63-9f0e-2f0f6a1f5c11",
    "faultInjectionParameters": {"abort": {"httpStatus": 503, "percentage": 100}},
    "duration": "60s",
}
SELECT: dict[str, Any] = {"componentName": "catalog", "runtime": "docker", "cpus": 0.5, "memory": "256Mi"}
