"""How busy each day of the period is.

Belongs here: the shop's calendar of closed, quiet and busy days.
Does not: how many lines a busy day has (sales.py).
"""

import numpy as np
import numpy.typing as npt

from segmentation_pipeline.sample_data.shop import Shop

_MONDAY, _SATURDAY = 0, 5
# Monday to Sunday; the six open days average 1.
_WEEKDAY_VOLUME = np.array([1.00, 1.10, 1.05, 1.15, 0.95, 0.00, 0.75])
_CHRISTMAS_PEAK = 0.9
_CHRISTMAS_PEAK_WIDTH_DAYS = 28.0
_BANK_HOLIDAY_VOLUME = 0.4
_TURN_OF_YEAR_VOLUME = 0.25


def volumes_of(shop: Shop) -> npt.NDArray[np.float64]:
    """Expected volume of every day of the period, shape `(days,)`: 1 on an ordinary day, 0 when the shop is closed.

    Closed: Saturdays, 25 and 26 December, 1 January. Quiet: the bank holidays in May and August and the days around the
    turn of the year. Busy: the weeks around 20 November, when other shops stock up for Christmas.
    """
    dates = np.arange(np.datetime64(shop.start_date, "D"), np.datetime64(shop.end_date, "D") + 1)
    weekday = (dates.astype(np.int64) + 3) % 7  # 1 January 1970 was a Thursday
    month_start = dates.astype("datetime64[M]")
    month = month_start.astype(np.int64) % 12 + 1
    day = (dates - month_start.astype("datetime64[D]")).astype(np.int64) + 1

    volume = _WEEKDAY_VOLUME[weekday] * _christmas_factor(dates)
    volume[(weekday == _MONDAY) & _is_bank_holiday_week(month, day)] *= _BANK_HOLIDAY_VOLUME
    volume[(month == 12) & (day >= 24)] *= _TURN_OF_YEAR_VOLUME
    volume[(month == 12) & ((day == 25) | (day == 26)) | (month == 1) & (day == 1)] = 0.0
    return volume


def next_open_days(volumes: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """For each day the first open day on or after it, shape `(days,)`; `days` itself where none follows."""
    days = len(volumes)
    own = np.where(volumes > 0, np.arange(days), days)
    return np.minimum.accumulate(own[::-1])[::-1]


def _christmas_factor(dates: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float64]:
    """1 for most of the year, rising to `1 + _CHRISTMAS_PEAK` on 20 November."""
    years = dates.astype("datetime64[Y]").astype("datetime64[M]")
    peak = (years + np.timedelta64(10, "M")).astype("datetime64[D]") + np.timedelta64(19, "D")
    distance_days = (dates - peak).astype(np.float64)
    factor: npt.NDArray[np.float64] = 1 + _CHRISTMAS_PEAK * np.exp(-((distance_days / _CHRISTMAS_PEAK_WIDTH_DAYS) ** 2))
    return factor


def _is_bank_holiday_week(month: npt.NDArray[np.int64], day: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """The first and last seven days of May and the last seven of August, whose Mondays are bank holidays."""
    is_holiday: npt.NDArray[np.bool_] = (month == 5) & ((day <= 7) | (day >= 25)) | (month == 8) & (day >= 25)
    return is_holiday
