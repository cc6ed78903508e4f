"""``make bench``: our parts against peers in one run, as ratios."""

from tests.bench import qc_cost

if __name__ == "__main__":
    qc_cost.main()
