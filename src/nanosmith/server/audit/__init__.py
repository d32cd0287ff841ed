"""The certificate in service: shadow audits, drift alarms, and the retreat when a promise may no longer hold."""
