"""What a user brings from a vendor: recognised by content, planned, and then made through the API's own code."""
