"""What calls of paid models may cost, and did."""
