"""`segmentation model`: what it lists, and going back to an earlier version."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from segmentation_pipeline.cli import app
from segmentation_pipeline.core import schema
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.resources.lake import Lake
from segmentation_pipeline.settings import load
from segmentation_tests.integration.shop_files import configure, recorded_in, sales, write_csv


@pytest.fixture(autouse=True)
def own_instance(tmp_path: Path) -> Iterator[None]:
    """Every command records to a folder of its test."""
    with recorded_in(tmp_path / "dagster"):
        yield


def segmentation(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words])


def lenient(k: int) -> dict[str, object]:
    floors = {"min_segment_share": 0.0, "min_silhouette": -1.0, "min_stability": 0.0, "min_agreement": 0.0}
    return {"quality": {"min_rows": 5}, "model": {"k": k, **floors}}


def test_without_a_model_it_says_how_to_get_one(tmp_path):
    write_csv(tmp_path / "landing" / "a.csv", sales(300, customers=40))
    listed = segmentation("model", "list", "--config", configure(tmp_path, **lenient(3)))
    assert (listed.exit_code, listed.stdout.strip()) == (
        0,
        "No model was fitted yet. `segmentation run` fits the first one.",
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop after its first run."""
    folder = tmp_path_factory.mktemp("finished")
    write_csv(folder / "landing" / "a.csv", sales(300, customers=40))
    config = configure(folder, **lenient(3))
    with recorded_in(tmp_path_factory.mktemp("dagster")):
        assert segmentation("run", "--config", config).exit_code == 0
    return folder


@pytest.fixture
def config(finished: Path, tmp_path: Path) -> Path:
    """The configuration of a copy of that shop, for one test."""
    return shutil.copytree(finished, tmp_path / "shop") / "shop.yaml"


def scored_by(lake: Lake) -> set[int]:
    """The versions of the model that scored the one day of the lake."""
    (day,) = lake.days("customer_segments")
    return set(lake.engine.to_pandas(lake.read(schema.CUSTOMER_SEGMENTS, [day]))["model_version"])


def test_versions_are_listed_and_an_earlier_one_can_be_put_in_force_again(config):
    resources = build_resources(load(config))
    models, lake = resources["models"], resources["lake"]
    second = models.save(models.load(1), models.diagnostics(1), "Put in force as asked (promote: always).", continues=1)
    models.put_in_force(second)
    assert segmentation("run", "--config", config).exit_code == 0
    assert scored_by(lake) == {2}

    listed = segmentation("model", "list", "--config", config).stdout
    assert "2 in force" in listed
    assert "1 in force" not in listed
    assert "Put in force: there was no model before it." in listed
    assert listed.index("2 in force") < listed.index("K-Means")
    for segment in models.load(1).segments:
        assert f"{segment.segment_id} {segment.name}" in listed

    used = segmentation("model", "use", 1, "--config", config)
    assert (used.exit_code, models.in_force()) == (0, 1)
    assert "Version 1 is in force" in used.stdout
    assert segmentation("run", "--config", config).exit_code == 0
    assert scored_by(lake) == {1}


def test_a_model_with_other_actions_is_another_version_and_the_same_one_is_not(config):
    models = build_resources(load(config))["models"]
    stored, diagnostics = models.load(1), models.diagnostics(1)
    noted = ("promotion", "continues", "saved_at")  # by the store, of each version
    model = replace(stored, card={key: value for key, value in stored.card.items() if key not in noted})
    told = [replace(segment, action="Call them.") for segment in model.segments]
    asked = "Put in force as asked (promote: always)."
    again = models.save(model, diagnostics, asked, continues=1)
    other = models.save(replace(model, segments=tuple(told)), diagnostics, asked, continues=1)
    assert (again, other) == (2, 3)
    assert {segment.action for segment in models.load(other).segments} == {"Call them."}
    assert models.save(model, diagnostics, asked, continues=1) == again


def test_a_version_that_never_was_is_refused_and_the_one_in_force_stays(config):
    refused = segmentation("model", "use", 7, "--config", config)
    assert refused.exit_code == 1
    assert "There is no version 7 of the model" in refused.stderr
    assert "Versions: 1." in refused.stderr
    assert build_resources(load(config))["models"].in_force() == 1


def test_a_model_of_an_earlier_release_is_told_from_a_crash(config):
    (config.parent / "lake" / "segmentation_model" / "version=0001" / "reference.parquet").unlink()
    refused = segmentation("model", "list", "--config", config)
    assert refused.exit_code == 1
    assert "was written by an earlier release" in refused.stderr
    assert "Traceback" not in refused.stderr
