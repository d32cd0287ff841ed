"""What becomes known of requests: log, metrics, traces."""
