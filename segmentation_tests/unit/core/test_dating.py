"""Days: what a text of a moment means, and which day its row is filed under. The witness is Python's own datetime."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import ibis
import pandas as pd
import pytest

from segmentation_pipeline.core import dating
from segmentation_pipeline.resources.engines.duckdb import DuckDBEngine
from segmentation_pipeline.settings import DuckDB

LONDON = ZoneInfo("Europe/London")


@pytest.fixture(scope="module")
def moments(engine):
    """The moments in UTC (None where unreadable) and the days that texts stand for."""

    def read(texts, timestamp_format=None, engine=engine, zone="Europe/London"):
        numbered = {"place": list(range(len(texts))), "text": texts}
        table = ibis.memtable(numbered, schema={"place": "int64", "text": "string"})
        at = dating.moment(table.text, timestamp_format, zone)
        found = engine.to_pandas(table.mutate(at=at, day=at.date()).order_by("place"))
        utc = [None if pd.isna(each) else each.to_pydatetime().astimezone(UTC) for each in found["at"]]
        return utc, [None if pd.isna(day) else day.date() for day in found["day"]]

    return read


def test_iso_texts_mean_what_python_says(moments):
    texts = [
        "2011-06-01 12:30:00",
        "2011-06-01T12:30:00",
        "2011-06-01 12:30",
        "2011-06-01",
        "2011-12-01 12:30:00",
        "2011-06-01T12:30:00Z",
        "2011-06-01T12:30:00+02:00",
        "2011-06-01 12:30:00-05:00",
        "2011-06-01T12:30:00.123456",
        "2012-02-29 23:59:59",
    ]
    parsed = [datetime.fromisoformat(text) for text in texts]
    expected = [(at if at.tzinfo else at.replace(tzinfo=LONDON)).astimezone(UTC) for at in parsed]
    assert moments(texts) == (expected, [at.astimezone(LONDON).date() for at in expected])


def test_local_times_follow_the_clock_over_a_year(moments):
    hours = pd.date_range("2011-01-01 00:30", "2011-12-31 23:30", freq="7h")
    twice_or_never = [pd.Timestamp("2011-03-27 01:30"), pd.Timestamp("2011-10-30 01:30")]
    hours = [hour for hour in hours if hour not in twice_or_never]
    expected = [hour.tz_localize("Europe/London").tz_convert("UTC").to_pydatetime() for hour in hours]
    assert moments([str(hour) for hour in hours])[0] == expected


def test_the_hour_that_summer_time_skips_is_read_as_an_hour_later(moments):
    assert moments(["2011-03-27 01:30:00"])[0] == [datetime(2011, 3, 27, 1, 30, tzinfo=UTC)]


def test_the_hour_that_comes_twice_is_read_as_the_second(moments):
    assert moments(["2011-10-30 01:30:00"])[0] == [datetime(2011, 10, 30, 1, 30, tzinfo=UTC)]


def test_the_day_is_the_shops_whatever_zone_the_text_gives(moments):
    texts = ["2011-06-01T23:30:00Z", "2011-12-01T23:30:00Z", "2011-06-02T00:30:00+02:00", "2011-06-01T20:00:00-04:00"]
    assert moments(texts)[1] == [date(2011, 6, 2), date(2011, 12, 1), date(2011, 6, 1), date(2011, 6, 2)]


def test_the_session_decides_what_local_time_is(moments):
    zone = "America/New_York"
    utc, days = moments(["2011-06-01 23:30:00", "2011-06-02T03:30:00Z"], None, DuckDBEngine(DuckDB(), zone), zone)
    assert utc == [datetime(2011, 6, 2, 3, 30, tzinfo=UTC)] * 2
    assert days == [date(2011, 6, 1)] * 2


def test_blanks_around_a_moment_do_not_matter(moments):
    assert moments(["  2011-12-01 08:26:00 \t"])[0] == [datetime(2011, 12, 1, 8, 26, tzinfo=UTC)]


@pytest.mark.parametrize("timestamp_format", [None, "%d/%m/%Y %H:%M"])
def test_what_is_no_moment_is_null(moments, timestamp_format):
    texts = ["", " ", "soon", "2011-13-01", "2011-02-29", "12:30", "40/01/2011 10:00", "01/02/2011 25:00", None]
    assert moments(texts, timestamp_format) == ([None] * len(texts), [None] * len(texts))


@pytest.mark.parametrize(
    ("timestamp_format", "texts"),
    [
        ("%d/%m/%Y %H:%M", ["01/12/2010 08:26", "1/12/2010 8:26", "31/1/2011 0:00"]),
        ("%m/%d/%Y %H:%M", ["12/01/2010 08:26", "1/31/2011 23:59"]),
        ("%d.%m.%Y", ["01.12.2010", "9.6.2011"]),
        ("%Y%m%d", ["20101201", "20110609"]),
        ("%Y%m%d%H%M%S", ["20101201082659"]),
        ("%H:%M:%S on %d-%m-%Y", ["08:26:59 on 01-12-2010"]),
        ("[%Y] (%m) %d?", ["[2011] (06) 09?"]),
    ],
)
def test_a_format_is_read_as_strptime_reads_it(moments, timestamp_format, texts):
    expected = [datetime.strptime(text, timestamp_format).replace(tzinfo=LONDON).astimezone(UTC) for text in texts]
    assert moments(texts, timestamp_format)[0] == expected


def test_text_that_does_not_fit_its_format_whole_is_null(moments):
    texts = [
        "01/12/2010",
        "01/12/2010 08:26:00",
        "x01/12/2010 08:26",
        "01-12-2010 08:26",
        "31/02/2011 10:00",
        "12/31/2010 10:00",
    ]
    assert moments(texts, "%d/%m/%Y %H:%M")[0] == [None] * len(texts)


def test_typed_columns_are_iso_whatever_the_format(moments):
    assert moments(["2010-12-01 08:26:00"], "%d/%m/%Y %H:%M")[0] == [datetime(2010, 12, 1, 8, 26, tzinfo=UTC)]


def file_rows(*rows: tuple[str | None, date, date]):
    names = ("invoiced_at", "written_on", "filing_day")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)} | {
        "place": list(range(len(rows)))
    }
    return ibis.memtable(
        columns, schema={"invoiced_at": "string", "written_on": "date", "filing_day": "date", "place": "int64"}
    )


FILING_DAY = date(2011, 5, 5)
WRITTEN = date(2011, 6, 2)


def filed(engine, settings, *texts: str | None) -> list[tuple[date | None, bool, date]]:
    rows = file_rows(*((text, WRITTEN, FILING_DAY) for text in texts))
    dated = rows.mutate(day_of_sale=dating.day_of_sale(rows.invoiced_at, settings))
    found = engine.to_pandas(dating.filed(dated, settings).order_by("place"))
    return [
        (None if pd.isna(day) else day.date(), bool(usable), filed_under.date())
        for day, usable, filed_under in zip(found["day_of_sale"], found["is_usable"], found["date"], strict=True)
    ]


def test_a_row_is_filed_under_its_day_of_sale(engine, shop):
    assert (
        filed(engine, shop(), "2011-06-01 10:00", "2011-05-31T23:30Z")
        == [(date(2011, 6, 1), True, date(2011, 6, 1))] * 2
    )


def test_a_row_without_a_readable_day_goes_where_its_file_goes(engine, shop):
    assert filed(engine, shop(), None, "soon") == [(None, False, FILING_DAY)] * 2


def test_a_row_outside_the_shops_days_goes_where_its_file_goes(engine, shop):
    texts = ["2010-12-31 23:59", "2011-01-01 00:00", "2011-03-01 00:00", "2011-03-02 00:00"]
    found = filed(engine, shop(end_date=date(2011, 3, 1)), *texts)
    assert [usable for _, usable, _ in found] == [False, True, True, False]
    assert [day for *_, day in found] == [FILING_DAY, date(2011, 1, 1), date(2011, 3, 1), FILING_DAY]


@pytest.mark.parametrize("end_date", [None, date(2011, 12, 31)])
def test_a_sale_after_the_file_was_written_goes_where_its_file_goes(engine, shop, end_date):
    found = filed(engine, shop(end_date=end_date), "2011-06-02 23:59", "2011-06-03 00:00", "2999-01-01 00:00")
    assert [(usable, day) for _, usable, day in found] == [(True, WRITTEN), (False, FILING_DAY), (False, FILING_DAY)]


@pytest.mark.parametrize(
    ("end_date", "expected"), [(date(2011, 6, 30), [True, False, False, True]), (None, [True, False, False, False])]
)
def test_a_day_is_outside_before_the_first_and_after_the_last(engine, shop, end_date, expected):
    days = [date(2010, 12, 31), date(2011, 1, 1), date(2011, 6, 30), date(2011, 7, 1)]
    table = ibis.memtable({"day": days}, schema={"day": "date"})
    found = engine.to_pandas(table.mutate(out=dating.is_outside(table.day, shop(end_date=end_date))).order_by("day"))
    assert found["out"].tolist() == expected
