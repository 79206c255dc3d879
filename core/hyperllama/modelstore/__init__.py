"""Model files on disk: blobs, manifests, pulls from the Hub and models made from others."""
