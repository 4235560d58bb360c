"""Stores behind addresses (`s3://...`, `https://...`): listings, ranges, blocks, clients."""
