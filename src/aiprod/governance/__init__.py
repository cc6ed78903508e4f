"""Rights, lineage, the audit log and the documents that are generated from the manifests."""
