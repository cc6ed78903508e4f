"""The policy as somebody writes it: what can mean nothing is refused, and what means the same is the same."""

from __future__ import annotations

from typing import Any

import pytest
from av.codec import codecs_available

from aiprod.base.params import validate
from aiprod.errors import AiprodError
from aiprod.qc.checks import RULES, WEIGHTED
from aiprod.qc.codec_names import _KNOWN, sound_codec
from aiprod.qc.params import QcDecideParams


def policy(**values: Any) -> QcDecideParams:
    return validate(QcDecideParams, values, "qc_decide")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"mandatory": ["resolutoin", "fps"]}, "mandatory: .*'resolution'"),
        ({"video": {"aspects": ["16x9"]}}, "'16x9' is not a shape"),
        ({"video": {"aspects": ["16:0"]}}, "'16:0' is not a shape"),
        ({"video": {"aspects": ["nan:inf"]}}, "'nan:inf' is not a shape"),
        ({"video": {"aspects": []}}, "aspects"),
        ({"video": {"codecs": ["hevv"]}}, "no codec 'hevv' → did you mean 'hevc'"),
        ({"video": {"codecs": []}}, "codecs"),
        ({"video": {"fps_min": 61.0}}, "fps_min must not be above fps_max"),
        ({"video": {"duration_min_s": 700.0}}, "duration_min_s must not be above duration_max_s"),
        ({"video": {"bitrate_max_bps": 5}}, "bitrate_min_bps must not be above bitrate_max_bps"),
        ({"video": {"blur_good": 0.9}}, "blur_good must not be above blur_poor"),
        ({"sound": {"snr_poor_db": 61.0}}, "snr_poor_db must not be above snr_good_db"),
        ({"thresholds": {"review": 0.9}}, "review must not be above approve"),
    ],
)
def test_a_limit_that_can_mean_nothing_is_refused_by_its_name(values: dict[str, Any], words: str) -> None:
    with pytest.raises(AiprodError, match=words):
        policy(**values)


def test_codecs_are_known_by_the_names_that_people_use() -> None:
    assert policy(video={"codecs": ["H265", "avc", "h264"]}).video.codecs == ["hevc", "h264"]
    assert policy(video={"codecs": ["ffv1"]}).video.codecs == ["ffv1"]  # rare


@pytest.mark.parametrize(
    ("decoder", "name"),
    [
        ("mp3float", "mp3"),
        ("mp3", "mp3"),
        ("aac", "aac"),
        ("aac_latm", "aac"),
        ("pcm_s24le", "pcm"),
        ("pcm_f32le", "pcm"),
        ("pcm_mulaw", "pcm_mulaw"),
        ("mp2", "mp2"),
        ("adpcm_ima_wav", "adpcm_ima_wav"),
    ],
)
def test_a_decoder_gives_its_codec(decoder: str, name: str) -> None:
    assert sound_codec(decoder) == name


def test_every_check_can_be_made_mandatory_and_no_other_name_can() -> None:
    assert policy(mandatory=list(RULES)).mandatory == list(RULES)
    for name in RULES:
        with pytest.raises(AiprodError, match=f"no check '{name}_'"):
            policy(mandatory=[f"{name}_"])


def test_a_check_rejects_only_where_its_rule_may() -> None:
    may = [name for name, rule in RULES.items() if rule.may_reject]
    assert set(may) == {"decodable", "resolution", "duration", "codec", "sound_codec", "fps", "nsfw"}
    assert policy(hard_limits=may).hard_limits == may
    with pytest.raises(AiprodError, match="no check 'blakc'"):
        policy(hard_limits=["blakc"])


def test_the_weights_of_the_policy_are_those_of_the_rules() -> None:
    weights = policy().weights.model_dump()
    assert list(weights) == list(WEIGHTED) == list(RULES)[: len(WEIGHTED)]
    assert sum(weights.values()) == pytest.approx(1.0)
    assert policy(weights={"faces": 0.3}).weights.model_dump()["faces"] == 0.3
    with pytest.raises(AiprodError, match="did you mean 'faces'"):
        policy(weights={"facse": 0.3})


def test_every_codec_that_a_policy_may_name_is_one_that_films_are_decoded_by() -> None:
    assert {name for name in _KNOWN - {"pcm"} if name not in codecs_available} == set()
