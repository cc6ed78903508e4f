"""Documents for others: Croissant, model card, EU AI Act, GDPR records, OpenLineage, W3C PROV."""
