"""Measurements, one file per check. A check knows no threshold of the policy; ``qc.judgements`` does."""
