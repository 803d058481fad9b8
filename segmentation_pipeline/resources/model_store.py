"""The model store: versions that are never overwritten, and one pointer to the version in force.

Belongs here: a model's files and how they become visible. Does not: what a model is (core/clustering/scoring.py).

    <lake>/segmentation_model/version=0001/segments.parquet    centres, scaling, names: `schema.SEGMENTATION_MODEL`
                                          /score_cuts.parquet  feature, place, cut
                                          /components.parquet  directions of the scatter plot
                                          /described_by.parquet  scaling of recency, frequency and monetary
                                          /reference.parquet   bins of the customers it was fitted on, for drift
                                          /k_diagnostics.parquet  how its k was chosen
                                          /card.json           from what and how it was fitted; the same input gives the same
                                          /record.json         when it was saved, and whether it was put in force and why
    <lake>/segmentation_model/in_force.json                    {"version": 1}
"""

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from segmentation_pipeline.core.clustering.preprocessing import Scaling
from segmentation_pipeline.core.clustering.scoring import Segment, SegmentationModel, model_table
from segmentation_pipeline.core.drift import Bin
from segmentation_pipeline.errors import PipelineError


class NoModelInForce(PipelineError):
    """No model was fitted yet; the message says how to fit one."""


class NoSuchVersion(PipelineError):
    """A version of the model was never saved; the message lists those that were."""


class ModelStore:
    """Models below one folder.

    Args:
        root: The folder; made when first written to.
    """

    def __init__(self, root: UPath) -> None:
        self.root = root

    def versions(self) -> list[int]:
        """Versions that were saved, in order."""
        found = (folder.name.removeprefix("version=") for folder in self.root.glob("version=*"))
        return sorted(int(name) for name in found if name.isdecimal())  # and not one that was set aside

    def in_force(self) -> int:
        """The version that scores customers.

        Raises:
            NoModelInForce: There is none yet.
        """
        pointer = self.root / "in_force.json"
        if not pointer.exists():
            raise NoModelInForce("No segmentation model is in force yet. Run the job refit_model first.")
        return int(json.loads(pointer.read_text())["version"])

    def digest(self) -> str:
        """Which model is in force, as text; empty if none is."""
        pointer = self.root / "in_force.json"
        return _pointer(self.in_force()) if pointer.exists() else ""

    def digests(self) -> list[str]:
        """What `digest` is, or was, while each version is in force, those included that were moved away since."""
        return [_pointer(version) for version in range(1, max(self.versions(), default=0) + 1)]

    def save(
        self, model: SegmentationModel, diagnostics: pd.DataFrame, promotion: str, continues: int | None = None
    ) -> int:
        """Store a model as a new version, whole or not at all, and return its number. It is not in force yet.

        The same model fitted again to continue the same version is no new one: the number is that of the first time. With
        other names, colours or actions it is another one.

        Args:
            model: What to store.
            diagnostics: `schema.K_DIAGNOSTICS`, from which its k was chosen.
            promotion: Whether it is to be put in force, and why, for the card.
            continues: The version whose segments it continues.
        """
        record = {"promotion": promotion, "continues": continues, "saved_at": _now()}
        if again := self._version_of(model, continues):
            self._note(self._folder(again), record)
            return again
        version = max(self.versions(), default=0) + 1
        staged = self.root / f".{uuid.uuid4().hex}"
        staged.mkdir(parents=True)
        try:
            _write(staged, model, version)
            self._note(staged, record)
            diagnostics.to_parquet(str(staged / "k_diagnostics.parquet"), index=False, compression="zstd")
            staged.rename(self._folder(version))
        except BaseException:
            shutil.rmtree(str(staged), ignore_errors=True)
            raise
        return version

    def _version_of(self, model: SegmentationModel, continues: int | None) -> int | None:
        for version in self.versions():
            stored = self.load(version)
            is_same = stored.scalings == model.scalings and dict(model.card).items() <= dict(stored.card).items()
            if is_same and _described(stored) == _described(model) and stored.card["continues"] == continues:
                return version
        return None

    @staticmethod
    def _note(folder: UPath, record: Mapping[str, object]) -> None:
        (folder / "record.json").write_text(json.dumps(record, indent=2))

    def next_segment_id(self) -> int:
        """The first segment id that no version ever gave out, so that ids of retired segments stay retired."""
        tables = (pd.read_parquet(str(self._folder(version) / "segments.parquet")) for version in self.versions())
        return max((int(table["segment_id"].max()) for table in tables), default=0) + 1

    def put_in_force(self, version: int) -> None:
        """Swap the pointer in one step: a reader sees the old version or the new one.

        Raises:
            NoSuchVersion: It was never saved; the message lists those that were.
        """
        if version not in self.versions():
            listed = ", ".join(map(str, self.versions())) or "none yet"
            raise NoSuchVersion(f"There is no version {version} of the model in {self.root}. Versions: {listed}.")
        staged = self.root / f".{uuid.uuid4().hex}"
        staged.write_text(_pointer(version))
        staged.replace(self.root / "in_force.json")

    def load(self, version: int) -> SegmentationModel:
        """Read one version.

        Raises:
            NoSuchVersion: It was written by a release that kept less of a model.
        """
        folder = self._folder(version)
        if not all((folder / name).exists() for name in ("described_by.parquet", "reference.parquet", "record.json")):
            raise NoSuchVersion(
                f"Version {version} of the model in {self.root} was written by an earlier release, which kept less of it. "
                "Move that folder away and run again: a new model is fitted."
            )
        table = pd.read_parquet(str(folder / "segments.parquet"))
        cuts = pd.read_parquet(str(folder / "score_cuts.parquet"))
        components = pd.read_parquet(str(folder / "components.parquet"))
        described_by = pq.read_table(str(folder / "described_by.parquet")).to_pylist()
        reference = pq.read_table(str(folder / "reference.parquet")).to_pylist()
        first = table[table["segment_id"] == table["segment_id"].min()]
        return SegmentationModel(
            scalings=tuple(
                Scaling(str(row.feature), row.lower_cut, row.upper_cut, row.mean, row.scale)
                for row in first.itertuples()
            ),
            segments=tuple(_segment(rows) for _, rows in table.groupby("segment_id", sort=True)),
            score_cuts={str(feature): tuple(rows["cut"]) for feature, rows in cuts.groupby("feature", sort=False)},
            components=components.drop(columns="variance_share").to_numpy(),
            component_shares=(components["variance_share"][0], components["variance_share"][1]),
            described_by=tuple(Scaling(**row) for row in described_by),
            reference=tuple(Bin(**row) for row in reference),
            card=json.loads((folder / "card.json").read_text()) | json.loads((folder / "record.json").read_text()),
        )

    def diagnostics(self, version: int) -> pd.DataFrame:
        """The diagnostics that one version's k was chosen from."""
        return pd.read_parquet(str(self._folder(version) / "k_diagnostics.parquet"))

    def _folder(self, version: int) -> UPath:
        return self.root / f"version={version:04d}"


def _pointer(version: int) -> str:
    return json.dumps({"version": version})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _segment(rows: pd.DataFrame) -> Segment:
    first = rows.iloc[0]
    centre = tuple(float(place) for place in rows["centre"])
    return Segment(int(first["segment_id"]), first["segment"], first["color"], first["action"], centre)


def _described(model: SegmentationModel) -> list[tuple[object, ...]]:
    """The segments without their ids, which are given out anew where a segment is new."""
    return sorted((each.name, each.color, each.action, each.centre) for each in model.segments)


def _write(folder: UPath, model: SegmentationModel, version: int) -> None:
    cuts = [
        {"feature": feature, "place": place, "cut": cut}
        for feature, values in model.score_cuts.items()
        for place, cut in enumerate(values, start=1)
    ]
    components = pd.DataFrame(np.asarray(model.components), columns=[scaling.feature for scaling in model.scalings])
    components["variance_share"] = model.component_shares
    model_table(model, version).to_parquet(str(folder / "segments.parquet"), index=False, compression="zstd")
    pd.DataFrame(cuts).to_parquet(str(folder / "score_cuts.parquet"), index=False, compression="zstd")
    for name, rows in (("described_by", model.described_by), ("reference", model.reference)):
        table = pa.Table.from_pylist([asdict(each) for each in rows])
        pq.write_table(table, str(folder / f"{name}.parquet"), compression="zstd")
    (folder / "card.json").write_text(json.dumps(dict(model.card), indent=2, sort_keys=True))
    components.to_parquet(str(folder / "components.parquet"), index=False, compression="zstd")
