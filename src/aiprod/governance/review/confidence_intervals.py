"""What a sample says about the whole: exact bounds on a share of defects.

Clopper and Pearson, Biometrika 26 (1934), 404-413: the bounds are quantiles of the beta distribution, and hold
whatever the true share is. For clips drawn without replacement from few they are on the safe side; where every
clip was looked at, the share is known.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConfidenceInterval:
    """A share of defects.

    Attributes:
        share: what was seen; None where nothing was looked at.
        low, high: two-sided interval.
        upper: one-sided upper bound, the figure to compare a limit with.
        exact: every clip was looked at, so the bounds are the share itself.
    """

    share: float | None
    low: float
    high: float
    upper: float
    exact: bool


def bounds(defects: int, looked_at: int, whole: int, confidence: float = 0.95) -> ConfidenceInterval:
    """Bounds for ``defects`` among ``looked_at`` clips out of ``whole``.

    Raises:
        ValueError: the counts do not fit each other.
    """
    if not 0 <= defects <= looked_at <= whole:
        raise ValueError(f"{defects} defects among {looked_at} of {whole} clips cannot be")
    if looked_at == 0:
        return ConfidenceInterval(None, 0.0, 1.0, 1.0, False)
    share = defects / looked_at
    if looked_at == whole:
        return ConfidenceInterval(share, share, share, share, True)
    tail = 1 - confidence
    return ConfidenceInterval(
        share,
        _lower(defects, looked_at, tail / 2),
        _upper(defects, looked_at, tail / 2),
        _upper(defects, looked_at, tail),
        False,
    )


def _upper(k: int, n: int, tail: float) -> float:
    from scipy.special import betaincinv

    return 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))


def _lower(k: int, n: int, tail: float) -> float:
    from scipy.special import betaincinv

    return 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
