"""Parameters of scan and ingest: the section `ingest` of params.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from aiprod.base.addresses import WHERE_SECRETS_GO, secret_in
from aiprod.base.files import digest_of
from aiprod.base.params import Params


class ShotParams(Params):
    """How a film is cut into shots (PySceneDetect's adaptive detector, and fades through black)."""

    adaptive_threshold: float = Field(
        default=3.0, gt=0, description="a change this many times its surroundings is a cut"
    )
    min_content_change: float = Field(
        default=15.0, ge=0, description="mean change in HSV, 0-255, below which nothing is a cut"
    )
    min_brightness_change: float = Field(default=2.5, ge=0, description="mean change in brightness, 0-255, likewise")
    fade_level: float = Field(default=24.0, ge=0, le=255, description="brightness up to which a pixel is black")
    min_shot_s: float = Field(default=0.5, gt=0, description="shorter shots get a row of status `short` and no file")
    detection_width_px: int = Field(
        default=256, ge=64, le=4096, description="pictures are scaled to this width for detection"
    )


class NormaliseParams(Params):
    """What a processed clip is."""

    max_height_px: int = Field(default=1080, ge=16, le=16_384, description="taller film is scaled down, never up")
    crf: float = Field(default=18.0, ge=0, le=51, description="x264 constant rate factor")
    preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
    ] = Field(default="veryfast", description="of x264")
    audio_bitrate_bps: int = Field(default=256_000, ge=32_000, le=512_000)
    hdr: Literal["tonemap", "refuse"] = Field(
        default="tonemap", description="PQ and HLG film: tone-mapped to BT.709 by ITU-R BT.2390, or refused"
    )
    crop_letterbox: bool = True


class DemoCorpusParams(Params):
    """Size of the demo corpus."""

    films: int = Field(default=64, ge=0, le=100_000, description="clean ones")
    calm_share: float = Field(default=0.0, ge=0, le=1, description="of clean films: one object, plain ground")
    gentle_share: float = Field(
        default=0.0, ge=0, le=1, description="of other clean films: one or two objects, moving camera, two paces"
    )
    faults: bool = True  # one more film for each fault that quality control must catch
    duration_s: float = Field(default=3.0, ge=0.5, le=600)
    height: int = Field(default=480, ge=32, le=4320, multiple_of=2)
    width: int = Field(default=854, ge=32, le=8192, multiple_of=2)
    fps: int = Field(default=24, ge=1, le=120)
    seed: int = Field(default=0, ge=0)

    @model_serializer(mode="wrap")
    def _without_gentle_scenes(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the share of gentle scenes where there are none: what was recorded before stays as it was."""
        values: dict[str, Any] = write(self)
        return values if self.gentle_share else {k: v for k, v in values.items() if k != "gentle_share"}


class IngestParams(Params):
    """Which sources are ingested, from where, and within which limits."""

    sources: list[str] = Field(default=["demo", "inbox"], min_length=1, description="ids in datasets/sources.yaml")
    folders: dict[str, str] = Field(
        default={},
        description="source id → folder, relative to the repository or absolute; or an address, s3:// or https://",
    )
    heldout_fraction: float = Field(default=0.12, ge=0, lt=1, description="share of films kept out of training")
    workers: int = Field(default=0, ge=0, le=1024, description="worker processes; 0 = one per CPU core")
    deadline_s: float = Field(
        default=900.0, ge=1, description="time for one film, before one retry; waiting for a busy processor not counted"
    )
    memory_gib: float = Field(default=3.0, ge=0.25, description="resident memory of one worker")
    max_film_s: float = Field(default=7200.0, gt=0, description="longer films are not decoded")
    max_pixels: int = Field(default=8192 * 4320, ge=1, description="larger pictures are not decoded")
    max_gigapixels: float = Field(
        default=60.0, gt=0, description="films of more pixels in all are not decoded; 4K60 x 2 min"
    )
    max_damage: float = Field(default=0.02, ge=0, le=1, description="share of packets that may fail to decode")
    fingerprints_of_denied: Literal["none", "impersonal", "all"] = Field(
        default="impersonal",
        description="of which denied films in folders a fingerprint is kept, to find copies: none, those whose "
        "personal_data_basis is `none`, or all (encrypted where people may be shown)",
    )
    shots: ShotParams = ShotParams()
    normalise: NormaliseParams = NormaliseParams()
    demo: DemoCorpusParams = DemoCorpusParams()

    @field_validator("folders", mode="after")
    @classmethod
    def _no_secrets(cls, folders: dict[str, str]) -> dict[str, str]:
        """Addresses with a password would be kept by params, dvc.lock, the run cache and MLflow."""
        for source, place in folders.items():
            if kind := secret_in(place):
                raise ValueError(f"the address of {source} holds {kind}, which would be recorded; {WHERE_SECRETS_GO}")
        return folders

    def watching_digest(self) -> str:
        """SHA-256 of the parameters by which a film is decoded and cut into shots."""
        return digest_of(self.model_dump(mode="json", include={"max_film_s", "max_pixels", "max_gigapixels", "shots"}))

    def work_digest(self) -> str:
        """SHA-256 of the parameters that a film's result depends on; where films come from and bounds are none."""
        return digest_of(
            self.model_dump(
                mode="json", include={"max_film_s", "max_pixels", "max_gigapixels", "max_damage", "shots", "normalise"}
            )
        )
