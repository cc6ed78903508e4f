"""Maps a function over clips or films: in processes of this machine, or on a Ray cluster."""
