"""What a quality report is made of: verdicts by day and expectation, and what each expectation is for.

Belongs here: the frames and how they are summed up for readers. Does not: reaching verdicts (checks/), drawing
(quality_figures.py), typesetting (quality_page.py).
"""

from dataclasses import dataclass
from datetime import date

import pandas as pd

UNKNOWN, HELD, WARNED, FAILED = range(4)
"""What came of a day: nothing to compare with, every check held, a warning, a critical failure."""


@dataclass(frozen=True, eq=False)
class QualityData:
    """Everything one quality report shows.

    Attributes:
        shop: Name of the shop.
        as_of: Last day shown.
        first_day: First day shown.
        checks: One row per expectation, in the order of the stages: `stage`, `expectation`, `severity`, `threshold`,
            `why`, `remedy`, and `low` and `high`, its limits where it has any.
        verdicts: One row per expectation and day: `stage`, `expectation`, `date`, `severity`, `passed` (null where there
            was nothing to compare with), `observed` (null where that is no number).
    """

    shop: str
    as_of: date
    first_day: date
    checks: pd.DataFrame
    verdicts: pd.DataFrame

    @property
    def failures(self) -> pd.DataFrame:
        """Verdicts that failed, the latest day first, critical before warning."""
        failed = self.verdicts[self.verdicts["passed"].eq(False).fillna(False).astype(bool)]
        told = failed.merge(self.checks[["stage", "expectation", "why", "remedy"]], on=["stage", "expectation"])
        critical = told["severity"].eq("critical")
        return told.assign(_critical=critical).sort_values(
            ["date", "_critical", "stage", "expectation"], ascending=[False, False, True, True], kind="stable"
        )

    def outcome(self) -> pd.DataFrame:
        """One row per expectation, one column per day: `UNKNOWN` to `FAILED`; missing where it was not judged."""
        passed = self.verdicts["passed"]
        worst = passed.map({True: HELD, False: WARNED}).fillna(UNKNOWN).astype(int)
        worst[(worst == WARNED) & self.verdicts["severity"].eq("critical")] = FAILED
        table = self.verdicts.assign(outcome=worst).pivot_table(
            index=["stage", "expectation"], columns="date", values="outcome", aggfunc="max"
        )
        days = pd.date_range(self.first_day, self.as_of)
        order = pd.MultiIndex.from_frame(self.checks[["stage", "expectation"]])
        return table.reindex(index=order[order.isin(table.index)], columns=days)
