"""A finished film from a script: generated shots, clips and titles, graded, cut, mixed, checked and traceable."""
