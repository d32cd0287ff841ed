"""Figures about answers: metrics with intervals, calibration, parity, latency, cost, and the Report that holds them."""
