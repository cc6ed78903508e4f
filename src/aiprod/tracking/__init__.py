"""MLflow: every experiment is recorded there, and nothing that is trained ever depends on it."""
