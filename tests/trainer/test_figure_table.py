"""A page's table: each figure once, beside its bound and its level by chance."""

from aiprod.trainer.figure_table import figure_rows


def test_levels_stand_beside_their_figure_and_nothing_is_lost() -> None:
    rows = figure_rows({"auc": 0.9, "auc_bound": 1.0, "auc_mismatched": 0.5, "psnr_db": 26.0, "psnr_db_reference": 24.0,
                        "steps": 3, "lone_bound": 2, "more": {"a": 1}})  # fmt: skip
    assert rows == [
        ("auc", "0.9", "1.0", "0.5"),
        ("psnr db", "26.0", "–", "24.0"),
        ("steps", "3", "–", "–"),
        ("lone bound", "2", "–", "–"),
    ]
