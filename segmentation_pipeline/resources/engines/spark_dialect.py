"""How Ibis' operations are written for Spark so that they mean what they mean on DuckDB.

Belongs here: every operation of which the two engines take another view, with what the difference is.
Does not: expressions (core/), which are the same for both engines.

DuckDB is the reference, because most lakes are made with it: rows that both engines can read must come out the same.
Each method overrides one of Ibis' compiler for Spark.
"""

from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.backends.sql.dialects import PySpark

BLANKS = " \t\n\r\v\f"
# Numbers as DuckDB reads them. Spark would also take digits of other scripts, and control signs around them.
_DIGITS = "[0-9]+(_[0-9]+)*"
NUMBER = rf"^[ \t\n\x0B\f\r]*[+-]?({_DIGITS}(\.({_DIGITS})?)?|\.{_DIGITS})([eE][+-]?{_DIGITS})?[ \t\n\x0B\f\r]*\z"
BETWEEN_DIGITS = "(?<=[0-9])_(?=[0-9])"
# Moments of which both engines take the same view, but for an hour that comes twice; without and with a zone.
_HOUR_AND_MINUTE, _SECONDS = r"[ T]([01]?[0-9]|2[0-3]):[0-9]{1,2}", r":[0-9]{1,2}(\.[0-9]*)?"
LOCAL_MOMENT = rf"^[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}({_HOUR_AND_MINUTE}({_SECONDS})?)?\z"
ZONED_MOMENT = (
    rf"^[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}{_HOUR_AND_MINUTE}{_SECONDS}(Z|[+-](0[0-9]|1[0-7])(:?[0-5][0-9])?)\z"
)
# What else DuckDB reads: other separators, years of other lengths, 24:00, any offset, names of zones.
OTHER_MOMENT = (
    r"^0*([0-9]{1,4})([-/ \\])([0-9]{1,2})\2([0-9]{1,2})"
    r"(?:(?:T|[ \t\n\x0B\f\r])[ \t\n\x0B\f\r]*0*([0-9]{1,2}):(?:([0-9]{1,2})(?::(?:([0-9]{1,2})(?:\.([0-9]*))?)?)?)?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2}(?::[0-9]{2})?)?| [A-Za-z][^ ]+)?[ ]*)?\z"
)
_ITS_LOCAL_PART, _ITS_ZONE = "000$1-$3-$4 0$5:0$6:0$7.$8", "$9"
AFTER_ALL_DAYS = r"^0*([1-9][0-9]{4}|1[0-9]{5}|2[0-8][0-9]{4})-(0?[1-9]|1[0-2])-(0?[1-9]|[12][0-9]|3[01])( [0-9:.]+)?$"
BEFORE_OUR_ERA = r"^(-[0-9]+-[0-9]+-[0-9]+|0+-[0-9]+-[0-9]+|[0-9]+-[0-9]+-[0-9]+ \((?i)bc\)$)"
# No day of a shop: DuckDB has moments without end, Spark has not.
NEVER_BEFORE, NEVER_AFTER = "0001-01-02 00:00:00Z", "9999-12-30 00:00:00Z"


class SparkDialect(PySparkCompiler):
    """Ibis' compiler for Spark, with DuckDB's meaning."""

    __slots__ = ()

    def visit_ParquetFiles(self, op: Any, *, paths: Any, **told: Any) -> sge.Table:
        """Files are read by the name they are registered under."""
        del paths
        return self.visit_DatabaseTable(op, **told)

    visit_NumberedParquetFiles = visit_ParquetFiles

    def visit_TryCast(self, op: ops.TryCast, *, arg: sge.Expression, to: dt.DataType) -> sge.Expression:
        """Text is read as a number or moment by DuckDB's rules."""
        if op.arg.dtype.is_string() and to.is_decimal():
            digits = self.f.anon.regexp_replace(arg, BETWEEN_DIGITS, "")
            number = sge.TryCast(this=digits, to=self.type_mapper.from_ibis(to), safe=True)
            return self.if_(self._matches(arg, NUMBER), number, sge.null())
        if op.arg.dtype.is_string() and to.is_timestamp():
            return self._moment(arg)
        return super().visit_TryCast(op, arg=arg, to=to)

    def visit_Cast(self, op: ops.Cast, *, arg: sge.Expression, to: dt.DataType) -> sge.Expression:
        """Fractions and moments are written as DuckDB does; fractions are rounded to decimals as it does."""
        given = op.arg.dtype
        if given.is_floating() and to.is_string():
            return self._fraction_as_text(arg)
        if given.is_timestamp() and given.timezone is not None and to.is_string():
            return self._moment_as_text(arg)
        if given.is_floating() and to.is_decimal() and to.scale is not None:
            return self._rounded(arg, to)
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_Round(self, op: ops.Round, *, arg: sge.Expression, digits: sge.Expression | None) -> sge.Expression:
        """A fraction is shifted, rounded and shifted back; Spark would round its shortest decimal form."""
        if op.arg.dtype.is_floating() and isinstance(op.digits, ops.Literal):
            power = sge.convert(float(10**op.digits.value))
            return sge.Paren(this=self.f.anon.round(sge.Paren(this=arg) * power) / power)
        return super().visit_Round(op, arg=arg, digits=digits)

    def visit_Divide(self, op: ops.Divide, *, left: sge.Expression, right: sge.Expression) -> sge.Expression:
        """The quotient of decimals is a fraction; Spark would round it to a decimal of few digits."""
        if op.left.dtype.is_decimal() or op.right.dtype.is_decimal():
            left, right = self.cast(left, dt.float64), self.cast(right, dt.float64)
        return sge.Paren(this=sge.Paren(this=left) / sge.Paren(this=right))

    def visit_TimestampDelta(
        self, op: ops.TimestampDelta, *, part: sge.Expression, left: sge.Expression, right: sge.Expression
    ) -> sge.Expression:
        """Seconds are those that passed; Spark would compare clocks, which change with summer time."""
        if isinstance(op.part, ops.Literal) and op.part.value == "second":
            return self.f.anon.unix_seconds(left) - self.f.anon.unix_seconds(right)
        return super().visit_TimestampDelta(op, part=part, left=left, right=right)

    def visit_ExtractSecond(self, op: ops.ExtractSecond, *, arg: sge.Expression) -> sge.Expression:
        """Whole seconds; Spark would add the fraction."""
        del op
        return self.f.anon.second(arg)

    def visit_Strip(self, op: ops.Strip, *, arg: sge.Expression) -> sge.Expression:
        """The six blanks of ASCII, in a form that stands in SQL."""
        del op
        return sge.Trim(this=arg, expression=self._text(BLANKS), position="BOTH")

    def visit_RegexSearch(self, op: ops.RegexSearch, *, arg: sge.Expression, pattern: sge.Expression) -> sge.Expression:
        """`$` is the end of the text, and not before a last end of line; letters are those of Unicode."""
        return (
            self._matches(arg, _as_java(op.pattern.value))
            if isinstance(op.pattern, ops.Literal)
            else arg.rlike(pattern)
        )

    def visit_RegexExtract(
        self, op: ops.RegexExtract, *, arg: sge.Expression, pattern: sge.Expression, index: sge.Expression
    ) -> sge.Expression:
        """Likewise."""
        told = self._text(_as_java(op.pattern.value)) if isinstance(op.pattern, ops.Literal) else pattern
        return self.f.anon.regexp_extract(arg, told, index)

    def visit_IsNull(self, op: ops.IsNull, *, arg: sge.Expression) -> sge.Expression:
        """Not a number is not null."""
        del op
        return arg.is_(sge.null())

    def visit_NotNull(self, op: ops.NotNull, *, arg: sge.Expression) -> sge.Expression:
        """Not a number is not null."""
        del op
        return sg.not_(arg.is_(sge.null()))

    def visit_ArrayCollect(
        self,
        op: ops.ArrayCollect,
        *,
        arg: sge.Expression,
        where: sge.Expression | None,
        order_by: list[sge.Ordered],
        include_null: bool,
        distinct: bool,
    ) -> sge.Expression:
        """Collects in an order, which Spark does by sorting what it collected; nothing collected is null."""
        if order_by:
            kept = sg.and_(*filter(None, (where, sg.not_(arg.is_(sge.null())))))
            keys = [key.this.as_(f"k{place}") for place, key in enumerate(order_by)]
            row = self.f.anon.struct(*keys, arg.as_("v"))
            rows = self.f.anon.collect_list(self.if_(kept, row, sge.null()))
            ordered = self.f.anon.array_sort(rows, _comparing([bool(key.args.get("desc")) for key in order_by]))
            each = sg.to_identifier("each")
            value = sge.Dot(this=each, expression=sg.to_identifier("v"))
            collected = self.f.anon.transform(ordered, sge.Lambda(this=value, expressions=[each]))
        else:
            collected = super().visit_ArrayCollect(
                op, arg=arg, where=where, order_by=order_by, include_null=include_null, distinct=distinct
            )
        return self.f.nullif(collected, self.f.array())

    def _matches(self, arg: sge.Expression, pattern: str) -> sge.Expression:
        return sge.RegexpLike(this=arg, expression=self._text(pattern))

    def _moment(self, text: sge.Expression) -> sge.Expression:
        """Text as a moment; null where DuckDB cannot read it."""
        read = sge.TryCast(this=text, to=sge.DataType.build("timestamp", dialect=PySpark), safe=True)
        return sge.Case(
            ifs=[
                self.if_(self._matches(text, LOCAL_MOMENT), _later(read)),
                self.if_(self._matches(text, ZONED_MOMENT), read.copy()),
                self.if_(self._matches(text, BEFORE_OUR_ERA), _sql(f"TIMESTAMP '{NEVER_BEFORE}'")),
                self.if_(self._matches(text, OTHER_MOMENT), self._other_moment(text)),
                self.if_(self._matches(text, AFTER_ALL_DAYS), _sql(f"TIMESTAMP '{NEVER_AFTER}'")),
                self.if_(_sql("lower(x)", x=text).isin("-infinity", "-inf"), _sql(f"TIMESTAMP '{NEVER_BEFORE}'")),
                self.if_(_sql("lower(x)", x=text).isin("infinity", "inf"), _sql(f"TIMESTAMP '{NEVER_AFTER}'")),
                self.if_(_sql("lower(x)", x=text).eq("epoch"), _sql("TIMESTAMP '1970-01-01 00:00:00Z'")),
            ]
        )

    def _other_moment(self, text: sge.Expression) -> sge.Expression:
        """A moment of `OTHER_MOMENT`, put together from its parts; 24:00 is the end of the day."""
        padded = self.f.anon.regexp_replace(text, self._text(OTHER_MOMENT), _ITS_LOCAL_PART)
        local = _sql("regexp_replace(regexp_replace(x, '^0+([0-9]{4})', '$1'), '([ :])0([0-9]{2})', '$1$2')", x=padded)
        zone = self.f.anon.regexp_replace(text, self._text(OTHER_MOMENT), _ITS_ZONE)
        return _sql(
            "CASE WHEN zone <> '' THEN try_cast(concat(local, IF(lower(zone) IN (' utc', ' gmt'), 'Z', zone)) AS TIMESTAMP)"
            " WHEN local RLIKE ' 24:0+:0+[.]0*$'"
            " THEN CAST(try_cast(replace(local, ' 24:', ' 00:') AS TIMESTAMP_NTZ) + INTERVAL 1 DAY AS TIMESTAMP) ELSE later END",
            zone=zone,
            local=local,
            later=_later(sge.TryCast(this=local, to=sge.DataType.build("timestamp", dialect=PySpark), safe=True)),
        )

    def _rounded(self, fraction: sge.Expression, to: dt.Decimal) -> sge.Expression:
        """A fraction as a decimal: shifted to a whole number and rounded half away from zero."""
        whole = self.cast(
            self.f.anon.round(sge.Paren(this=fraction) * sge.convert(float(10**to.scale))), dt.Decimal(38, 0)
        )
        unit = self.cast(sge.convert(f"1e-{to.scale}"), dt.Decimal(max(to.scale, 1), to.scale))
        return self.cast(sge.Paren(this=whole * unit), to)

    @staticmethod
    def _fraction_as_text(fraction: sge.Expression) -> sge.Expression:
        """`0.1` and `10000000.0`; very large and very small ones as `1e+16` and `1.5e-05`, where Spark says 1.0E16."""
        return _sql(
            r"""CASE WHEN isnan(x) THEN 'nan' WHEN NOT text RLIKE 'E' AND NOT text RLIKE 'Inf' THEN text
            WHEN text RLIKE 'Inf' THEN IF(x > 0, 'inf', '-inf')
            WHEN text RLIKE 'E(-4|[0-9]|1[0-5])$' THEN regexp_replace(regexp_replace(
                CAST(CAST(text AS DECIMAL(38, 20)) AS STRING), '0+$', ''), '[.]$', '.0')
            ELSE concat(regexp_replace(regexp_extract(text, '^(.*)E', 1), '[.]0$', ''), 'e', IF(text RLIKE 'E-', '-', '+'),
                IF(text RLIKE 'E-?[0-9]$', '0', ''), regexp_extract(text, 'E-?([0-9]+)$', 1)) END""",
            x=fraction,
            text=sge.Cast(this=fraction.copy(), to=sge.DataType.build("string", dialect=PySpark)),
        )

    @staticmethod
    def _moment_as_text(moment: sge.Expression) -> sge.Expression:
        """`2011-12-01 08:26:00+00`: with the offset of the session's zone, in hours where it is whole ones."""
        return _sql(
            "concat(CAST(x AS STRING), regexp_replace(date_format(x, 'xxx'), ':00$', ''))",
            x=moment,
        )

    @staticmethod
    def _text(value: str) -> Any:
        """Text with signs that SQL would take for something else."""
        return sge.convert(value)


def _sql(template: str, **parts: sge.Expression) -> sge.Expression:
    """An expression written as Spark's SQL, with others in the place of names."""

    def put_in(node: sge.Expression) -> sge.Expression:
        is_place = isinstance(node, sge.Column) and not node.table and node.name in parts
        return sge.Paren(this=parts[node.name].copy()) if is_place else node

    parsed: Any = sg.parse_one(template, dialect=PySpark)
    replaced: sge.Expression = parsed.transform(put_in)
    return replaced


def _later(moment: sge.Expression) -> sge.Expression:
    """The later of two moments with the same local time, where clocks were put back by an hour or half of one."""
    return _sql(
        "CASE WHEN CAST(x + INTERVAL 1 HOUR AS TIMESTAMP_NTZ) = CAST(x AS TIMESTAMP_NTZ) THEN x + INTERVAL 1 HOUR"
        " WHEN CAST(x + INTERVAL 30 MINUTE AS TIMESTAMP_NTZ) = CAST(x AS TIMESTAMP_NTZ) THEN x + INTERVAL 30 MINUTE ELSE x END",
        x=moment,
    )


def _as_java(pattern: str) -> str:
    """RE2's pattern as Java's: letters are Unicode's, a line ends in one way alone, and `$` is the end of the text."""
    told, in_class, escaped = "", False, False
    for sign in pattern:
        told += r"\z" if sign == "$" and not in_class and not escaped else sign
        if not escaped:
            in_class = (sign == "[") or (in_class and sign != "]")
        escaped = sign == "\\" and not escaped
    return f"(?du){told}"


def _comparing(descending: list[bool]) -> sge.Expression:
    """A comparison of two rows by their keys, nulls last."""
    branches = []
    for place, is_descending in enumerate(descending):
        less, more = (1, -1) if is_descending else (-1, 1)
        left, right = f"l.k{place}", f"r.k{place}"
        branches += [
            f"WHEN {left} IS NULL AND {right} IS NOT NULL THEN 1 WHEN {right} IS NULL AND {left} IS NOT NULL THEN -1",
            f"WHEN {left} < {right} THEN {less} WHEN {left} > {right} THEN {more}",
        ]
    compared = sg.parse_one(f"CASE {' '.join(branches)} ELSE 0 END", dialect=PySpark)
    return sge.Lambda(this=compared, expressions=[sg.to_identifier("l"), sg.to_identifier("r")])
