"""Git and DVC: dvc.lock, revisions, history."""
