"""The command line: `segmentation run`, `simulate`, `check-source`, `quarantine`, `forget`, `model` and `ui`.

Belongs here: options, exit codes, and the order of things. Does not: planning, running, computing or laying out.

Heavy modules are imported inside the commands, so that `--help` and errors of configuration come at once.
"""

import atexit
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from segmentation_pipeline import interrupts
from segmentation_pipeline.errors import PipelineError
from segmentation_pipeline.settings import CONFIG_VARIABLE, DEFAULT_CONFIG, Settings, load

STARTED = time.perf_counter()

app = typer.Typer(
    help="From raw transaction lines to named, stable customer segments.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

model_app = typer.Typer(help="Versions of the model, and which one is in force.", no_args_is_help=True)
app.add_typer(model_app, name="model")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help=f"YAML file; without it, ${CONFIG_VARIABLE} or {DEFAULT_CONFIG}.")
]


def main() -> NoReturn:
    """The command, in a process of its own.

    Python looks for garbage among a million objects of imported modules while they load, and takes them apart one by
    one at the end: a fifth of a night's run. So it looks seldom, and the process ends once its exit functions have run.
    """
    gc.set_threshold(100_000, 20, 100)
    interrupts.install()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever stops it, it says how to go on
    status = 0
    try:
        app()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


@app.command(epilog="Example: segmentation run --config data/online_retail.yaml --as-of 2011-06-30")
def run(
    config: ConfigOption = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day that counts; without it, the last day in the source."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show Dagster's log lines instead of a bar.")
    ] = False,
) -> None:
    """Bring everything up to date: days not yet done, the as-of day's segments, and its report.

    Fits a model if none is in force. With nothing new it says so and stops. Every run, materialization and check is in
    the Dagster UI afterwards. The exit code is 0 only if all of it held.
    """
    with _errors_in_plain_words():
        settings = _settings(config)
        from segmentation_pipeline.checks.loading import load_great_expectations
        from segmentation_pipeline.resources.second_process import second_process

        second_process().prepare(load_great_expectations)
        from segmentation_pipeline import planning
        from segmentation_pipeline.opening import build_resources
        from segmentation_pipeline.resources.sources.opening import wait_until_settled

        resources = build_resources(settings)
        wait_until_settled(resources["source"], settings, _tell)
        day = planning.as_of_day(settings, resources["source"], as_of.date() if as_of else None, datetime.now(UTC))
        runs = planning.plan(settings, resources["freshness"], resources["models"], day)
        seconds = _execute(settings, resources, runs, day, verbose) if runs else {}
        _print_summary(settings, resources, day, seconds)


@app.command(epilog="Example: segmentation simulate --folder data/landing --customers 5000 --lines-per-day 1000")
def simulate(
    folder: Annotated[Path, typer.Option(help="Where the files go, one Parquet file per day.")] = Path("data/landing"),
    customers: Annotated[int, typer.Option(min=1, help="People who may buy.")] = 2_000,
    lines_per_day: Annotated[int, typer.Option(min=1, help="Lines on an ordinary day.")] = 300,
    start_date: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day.")] = datetime(2025, 7, 1),
    end_date: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day.")] = datetime(2026, 6, 30),
    seed: Annotated[int, typer.Option(help="The same seed and sizes give the same files.")] = 7,
) -> None:
    """Write a year of a small messy shop, to try the pipeline on: returns, duplicates, typing errors and all."""
    with _errors_in_plain_words():
        from segmentation_pipeline import sample_data

        try:
            shop = sample_data.Shop(customers, lines_per_day, start_date.date(), end_date.date(), seed)
        except ValueError as problem:
            raise PipelineError(str(problem)) from problem
        delivery = sample_data.simulate(folder, shop)
        dirt = sum(delivery.dirt.values())
        typer.echo(
            f"Wrote {delivery.lines:,} lines in {delivery.files:,} files to {folder}; {dirt:,} of the lines are not plain sales."
        )


@app.command(epilog="Example: segmentation check-source --config data/shop.yaml")
def check_source(config: ConfigOption = None) -> None:
    """Read the source and report columns, types, days, and the rows that would be quarantined; changes nothing."""
    with _errors_in_plain_words():
        settings = _settings(config)
        from segmentation_pipeline import inspection, terminal

        found = inspection.inspect(settings, _tell)
        terminal.console().print(terminal.inspected(found))


@app.command(epilog="Example: segmentation quarantine --from 2011-12-01 --reason zero_price --samples 10")
def quarantine(
    config: ConfigOption = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only rows quarantined for this reason.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Rows shown of each reason.")] = 3,
) -> None:
    """List the quarantined rows: reasons, counts by day, and samples as they came; changes nothing."""
    with _errors_in_plain_words():
        settings = _settings(config)
        from segmentation_pipeline import inspection, terminal
        from segmentation_pipeline.opening import build_resources

        days = (first.date() if first else None, last.date() if last else None)
        found = inspection.quarantine(build_resources(settings)["lake"], *days, reason, samples)
        terminal.console().print(terminal.quarantined(found, settings.currency))


@app.command(epilog="Example: segmentation forget 17850 --config data/shop.yaml")
def forget(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take a customer out of every table, export and published table, for good; totals stay as they are.

    Their lines stay as a guest's. The files or the table that the lines came from are yours, and are not touched.
    Again, it finishes what a run that failed has left. See docs/privacy.md.
    """
    with _errors_in_plain_words():
        settings = _settings(config)
        from segmentation_pipeline import inspection, terminal
        from segmentation_pipeline.opening import build_resources

        resources = build_resources(settings)
        asked = inspection.asked_to_forget(resources, customer)
        terminal.console().print(terminal.named(asked.traces, resources["source"].place))
        if not yes:
            typer.confirm("Forget this customer? It cannot be undone.", abort=True)
        digest = resources["erasure"].entomb(asked.named, "segmentation forget", _tell)
        done = _forget(settings, resources, digest)
        terminal.console().print(terminal.forgotten(done["rows"], done["partitions"]))


@model_app.command("list", epilog="Example: segmentation model list --config data/shop.yaml")
def list_models(config: ConfigOption = None) -> None:
    """List the versions of the model: how each was fitted, how good it is, and which one is in force."""
    with _errors_in_plain_words():
        settings = _settings(config)
        from segmentation_pipeline import inspection, terminal
        from segmentation_pipeline.opening import build_resources

        terminal.console().print(terminal.models(inspection.models(build_resources(settings)["models"])))


@model_app.command("use", epilog="Example: segmentation model use 3 --config data/shop.yaml")
def use_model(version: Annotated[int, typer.Argument(help="Its number.")], config: ConfigOption = None) -> None:
    """Put an earlier or a kept version in force; the next run scores its day with it."""
    with _errors_in_plain_words():
        settings = _settings(config)
        from segmentation_pipeline.opening import build_resources

        build_resources(settings)["models"].put_in_force(version)
        typer.echo(f"Version {version} is in force. `segmentation run` scores the last day with it.")


@app.command(epilog="Example: segmentation ui --config data/online_retail.yaml --port 3000")
def ui(
    config: ConfigOption = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 3000,
) -> None:
    """Open the Dagster UI with its daemon on the instance that `segmentation run` records to; loopback only."""
    with _errors_in_plain_words():
        _settings(config)
        from segmentation_pipeline import instance

        instance.prepare()
        workspace = Path(__file__).resolve().parent.parent / "workspace.yaml"
        where = ["-w", str(workspace)] if workspace.exists() else ["-m", "segmentation_pipeline.definitions"]
        dg_command = str(Path(sys.executable).with_name("dg"))
        os.execv(dg_command, ["dg", "dev", *where, "--host", "127.0.0.1", "--port", str(port)])


def _tell(line: str) -> None:
    """A line for people who wait, beside the output."""
    typer.echo(line, err=True)


def _settings(config: Path | None) -> Settings:
    """Load the configuration, and name it in the environment for the processes that Dagster starts."""
    file = (config or Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)).resolve()
    settings = load(file)
    os.environ[CONFIG_VARIABLE] = str(file)
    return settings


def _execute(
    settings: Settings, resources: dict[str, Any], runs: list[Any], day: date, verbose: bool
) -> dict[str, float]:
    from segmentation_pipeline import instance

    home = instance.prepare()
    from segmentation_pipeline.build import build_definitions
    from segmentation_pipeline.checks.gate import GateClosed
    from segmentation_pipeline.planning import quality_run
    from segmentation_pipeline.running import execute

    definitions = build_definitions(settings, resources)
    with instance.opened(home) as opened:
        try:
            return execute(definitions, opened, runs, day, verbose).seconds
        except GateClosed as closed:
            shown = closed.days[-1] if closed.days else day
            told = f"What every check found, by day: {resources['reports'].page(shown, 'quality_report')}"
            try:
                execute(definitions, opened, [quality_run(shown)], shown, verbose)
            except PipelineError as problem:
                told = f"The quality report could not be drawn either: {problem}"
            raise PipelineError(f"{closed}\n{told}") from closed


def _forget(settings: Settings, resources: dict[str, Any], digest: str) -> Any:
    from segmentation_pipeline import instance

    home = instance.prepare()
    from segmentation_pipeline import running
    from segmentation_pipeline.build import build_definitions

    with instance.opened(home) as opened:
        return running.forget(build_definitions(settings, resources), opened, digest)


def _print_summary(settings: Settings, resources: dict[str, Any], day: date, seconds: dict[str, float]) -> None:
    from segmentation_pipeline import inspection, terminal

    done = inspection.results(resources["lake"], settings.start_date, day)
    out = terminal.console()
    if not seconds:
        out.print(f"Nothing new: everything up to {day} is done.\n")
    out.print(terminal.summary(done.profiles, settings.shop, settings.currency, day))
    out.print(terminal.rows(done.days, done.reasons))
    failures = resources["ledger"].failures(settings.start_date, day)
    out.print(terminal.warned(failures))
    out.print(f"Data quality: {resources['reports'].page(day, 'quality_report')}", soft_wrap=True)
    out.print(f"Report: {resources['reports'].page(day)}", soft_wrap=True)
    if seconds:
        out.print(terminal.times(seconds, time.perf_counter() - STARTED))


@contextmanager
def _errors_in_plain_words() -> Iterator[None]:
    try:
        with interrupts.ends_in_interrupted():
            yield
    except PipelineError as problem:
        _tell_error(str(problem))
        raise typer.Exit(problem.exit_code) from problem
    except BrokenPipeError:  # whoever reads the output has seen enough
        raise
    except OSError as problem:  # such as a full disk, or a file where a folder is to be
        where = f"{problem.filename}: " if problem.filename else ""
        _tell_error(f"{where}{problem.strerror or problem}. Mend that, and run again.")
        raise typer.Exit(1) from problem


def _tell_error(message: str) -> None:
    typer.secho("Error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(message, err=True)


if __name__ == "__main__":
    main()
