"""What a run prints: segments, rows and times as tables for a terminal.

Belongs here: layout of ready-made numbers. Does not: computing them, or progress while running (running.py).
"""

from collections.abc import Mapping
from datetime import date
from functools import partial

import pandas as pd
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from segmentation_pipeline.core.schema import SOURCE_COLUMNS
from segmentation_pipeline.inspection import Quarantine, SourceInspection
from segmentation_pipeline.reporting import wording
from segmentation_pipeline.reporting.data import in_display_order
from segmentation_pipeline.resources.erasure import Traces

DAYS_LISTED = 10
FILES_LISTED = 20


def summary(profiles: pd.DataFrame, shop: str, currency: str, as_of: date) -> Group:
    """The segments of a day: size, worth and typical customer, and below what to do about each."""
    version = profiles["model_version"].iloc[0]
    title = Text(f"{shop}: customer segments as of {wording.long_date(as_of)} (model version {version})", style="bold")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Segment", no_wrap=True)
    for heading in ("Customers", "Share", "Revenue share", "Last order", "Orders", f"Spend {currency}"):
        table.add_column(heading, justify="right", no_wrap=True)
    advice = Table(box=None, pad_edge=False, show_header=False)
    for row in in_display_order(profiles).to_dict("records"):
        name = Text(f"● {row['segment']}", style=str(row["color"]))
        recency = float(row["recency_days_median"])
        table.add_row(
            name,
            wording.count(row["customers"]),
            wording.share(row["customer_share"]),
            wording.share(row["revenue_share"]),
            "never kept" if pd.isna(recency) else wording.days_ago(round(recency)),
            f"{row['frequency_median']:g}",
            wording.count(row["monetary_median"]),
        )
        advice.add_row(name, str(row["action"]))
    return Group(
        title, table, Text("Last order, orders and spend are medians. What to do:", style="dim"), advice, Text()
    )


def rows(days: pd.DataFrame, reasons: pd.DataFrame) -> Group:
    """How many source rows were accepted, and why the others were not."""
    raw, accepted, rejected = (int(days[f"{kind}_rows"].sum()) for kind in ("raw", "accepted", "quarantined"))
    line = Text(
        f"{wording.count(raw)} source rows = {wording.count(accepted)} accepted + {wording.count(rejected)} quarantined"
    )
    if not rejected:
        return Group(line)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Quarantined because")
    table.add_column("Rows", justify="right")
    table.add_column("Meaning")
    for row in reasons[reasons["rows"] > 0].sort_values("rows", ascending=False).to_dict("records"):
        table.add_row(str(row["reason"]), wording.count(row["rows"]), str(row["description"]))
    return Group(line, table)


def named(traces: Traces, place: str) -> Group:
    """Where a customer is named, before they are forgotten."""
    table = Table("In the lake", "Rows", "Days", box=box.SIMPLE_HEAD, pad_edge=False)
    for asset, days in traces.days.items():
        table.add_row(asset, wording.count(traces.rows[asset]), wording.count(len(days)))
    more = len(traces.source_files) - FILES_LISTED
    files = [*traces.source_files[:FILES_LISTED], *([f"and {wording.count(more)} more"] if more > 0 else [])]
    own = f"The source is yours, and still names the customer: {place} ({', '.join(files)})."
    return Group(table, *([Text(own)] if files else []))


def forgotten(rows: Mapping[str, int], partitions: Mapping[str, int]) -> Table:
    """What was removed from where."""
    table = Table("Forgotten in", "Rows", "Days rewritten", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, count in rows.items():
        table.add_row(name, wording.count(count), wording.count(partitions[name]) if name in partitions else "")
    return table


def inspected(found: SourceInspection) -> Group:
    """What `check-source` found."""
    columns = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Column", "In the source", "Type"):
        columns.add_column(name)
    for name, source in found.columns.items():
        columns.add_row(name, source, found.column_types[name])
    span = f"{found.first_day} to {found.last_day}" if found.first_day else "no usable day of sale"
    undated = f"; {wording.count(found.undated_rows)} rows without a usable day" if found.undated_rows else ""
    files = "" if found.files is None else "1 file, " if found.files == 1 else f"{wording.count(found.files)} files, "
    head = Text(f"{found.place}: {files}{wording.count(found.rows)} rows, {span}{undated}")
    rejected = int(found.reasons["rows"].sum())
    if not rejected:
        return Group(head, columns, Text("Every row would be accepted." if found.rows else "There are no rows."))
    reasons = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Would be quarantined because", "Rows", "Meaning", "Such as"):
        reasons.add_column(name, justify="right" if name == "Rows" else "left")
    for row in found.reasons.to_dict("records"):
        examples = ", ".join(row["examples"])
        reasons.add_row(str(row["reason"]), wording.count(row["rows"]), str(row["description"]), examples)
    accepted = Text(
        f"{wording.count(found.rows - rejected)} rows would be accepted, {wording.count(rejected)} quarantined."
    )
    return Group(head, columns, accepted, reasons)


def quarantined(found: Quarantine, currency: str) -> Group:
    """What `quarantine` found: reasons, the latest days, and rows as they came."""
    if found.first_day is None:
        return Group(Text("No such day is in the lake. `segmentation run` brings it up to date."))
    span = f"{found.first_day} to {found.last_day}"
    total = int(found.reasons["rows"].sum())
    if not total:
        return Group(Text(f"{span}: no quarantined rows."))
    reasons = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Reason", "Rows", "Days", currency, "Meaning"):
        reasons.add_column(name, justify="left" if name in ("Reason", "Meaning") else "right")
    for row in found.reasons.to_dict("records"):
        amount = f"{float(row['amount']):,.2f}"
        numbers = (wording.count(row["rows"]), wording.count(row["days"]), amount)
        reasons.add_row(str(row["reason"]), *numbers, str(row["description"]))
    days = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Latest days", "Rows", "Reasons"):
        days.add_column(name, justify="right" if name == "Rows" else "left", no_wrap=name != "Reasons")
    for day, rows in list(found.days.groupby("date", sort=False))[:DAYS_LISTED]:
        listed = ", ".join(
            f"{reason} {wording.count(count)}" for reason, count in zip(rows["reason"], rows["rows"], strict=True)
        )
        days.add_row(pd.Timestamp(str(day)).date().isoformat(), wording.count(rows["rows"].sum()), listed)
    samples = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Such as", "Where", "As it came"):
        samples.add_column(name)
    for row in found.samples.to_dict("records"):
        came = ", ".join(f"{name} {row[name]}" for name in SOURCE_COLUMNS if not pd.isna(row[name]))
        others = [rule for rule in row["failed_rules"] if rule != row["reason"]]
        samples.add_row(
            Text(str(row["reason"])), str(row["place"]), came + (f" (also {', '.join(others)})" if others else "")
        )
    end = Text(
        "Correct the source or the configuration, then `segmentation run`: the days are cleaned again and the rows move over.",
        style="dim",
    )
    return Group(Text(f"{span}: {wording.count(total)} quarantined rows"), reasons, days, samples, end)


def models(found: pd.DataFrame) -> Group:
    """What `model list` found, the version in force marked."""
    if found.empty:
        return Group(Text("No model was fitted yet. `segmentation run` fits the first one."))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Version", "Fitted as of", "Algorithm", "k", "Customers", "Silhouette", "Stability", "Segments"):
        table.add_column(name, justify="right" if name in ("k", "Customers", "Silhouette", "Stability") else "left")
    for row in found.to_dict("records"):
        name = f"{row['version']} in force" if row["is_in_force"] else str(row["version"])
        numbers = (wording.count(row["fitted_on_customers"]), f"{row['silhouette']:.3f}", f"{row['stability']:.2f}")
        algorithm = wording.algorithm_name(row["algorithm"])
        table.add_row(name, str(row["as_of"]), algorithm, str(row["k"]), *numbers, ", ".join(row["segments"]))
    saved = found["saved_at"].str.slice(0, 16).str.replace("T", " ")
    why = found["version"].astype(str) + " (" + saved + " UTC): " + found["promotion"]
    return Group(table, Text("\n".join(why)))


def warned(failures: pd.DataFrame) -> Text:
    """The checks that failed on days that were let through, and on how many."""
    if failures.empty:
        return Text("Every check held.")
    names = failures["stage"] + ": " + failures["expectation"]
    checks = failures.groupby(names, sort=False)["date"].nunique()
    listed = "\n".join(f"  {name} on {wording.quantity(days, 'day')}" for name, days in checks.items())
    return Text(f"Checks that warned:\n{listed}")


def times(seconds: Mapping[str, float], total: float) -> Text:
    """Seconds per stage, in one line."""
    parts = [f"{name} {spent:.1f}" for name, spent in seconds.items()]
    return Text(f"Seconds: {', '.join(parts)}; with start-up {total:.1f} in all.", style="dim")


def console() -> Console:
    """Standard output, where text of a source is no markup; wide enough for the tables where it is no terminal."""
    made = partial(Console, highlight=False, markup=False, emoji=False)
    found = made()
    return found if found.is_terminal else made(width=150)
