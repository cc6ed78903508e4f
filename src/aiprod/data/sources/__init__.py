"""What sources offer: scanning folders, buckets and web servers, and what tables and sidecars say."""
