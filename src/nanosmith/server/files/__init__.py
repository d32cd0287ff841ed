"""Files and uploads: from a form to stored bytes that a row names."""
