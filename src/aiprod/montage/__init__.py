"""Montage: timelines of pictures and sound, rendered frame- and sample-accurately into one film.

Time is rational throughout. Frame ``n`` of a timeline of rate ``r`` is shown from ``n / r`` to ``(n + 1) / r`` seconds,
and sound of the timeline second ``t`` begins at sample ``round(t * 48000)``, counted from the start of the timeline and
never summed event by event.
"""
