"""What every other package stands on: errors, files, state folder, parameters, manifests, memo, progress."""
