"""The only package that writes: blobs, bundles and the ledger."""
