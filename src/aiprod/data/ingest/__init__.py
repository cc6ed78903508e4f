"""From the list of offered films to raw films, shots and normalised clips."""
