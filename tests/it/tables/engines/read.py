"""Reads tables with three engines, each with its own globs and types, and writes what each has found.

read.py DIRECTORY GLOB...: for each engine and table, all rows as JSON lines, sorted, in ENGINE.TABLE.ndjson.
A glob has {} for the table; one that matches nothing for a table is left out.
"""

import glob
import json
import pathlib
import sys

import duckdb
import polars
import pyarrow
import pyarrow.dataset

directory, patterns = pathlib.Path(sys.argv[1]), sys.argv[2:]


def by_duckdb(globs):
    rows = duckdb.sql(
        f"SELECT * REPLACE (epoch_us(time) AS time) FROM read_parquet({globs}, hive_partitioning = false)"
    )
    return [dict(zip(rows.columns, row)) for row in rows.fetchall()]


def by_polars(globs):
    frames = polars.scan_parquet(globs, glob=True, hive_partitioning=False)
    frames = frames.with_columns(polars.col("time").dt.epoch("us"))
    return frames.collect().to_dicts()


def by_pyarrow(globs):
    files = [file for one in globs for file in glob.glob(one)]
    table = pyarrow.dataset.dataset(files, format="parquet").to_table()
    at = table.schema.get_field_index("time")
    assert table.schema.field("time").type == pyarrow.timestamp("us", tz="UTC"), table.schema
    table = table.set_column(at, "time", table["time"].cast(pyarrow.int64()))
    return table.to_pylist()


tables = sorted({pathlib.Path(found).parts[1] for one in patterns for found in glob.glob(one.format("*"))})
for table in tables:
    globs = [one.format(table) for one in patterns if glob.glob(one.format(table))]
    for engine, read in [("duckdb", by_duckdb), ("polars", by_polars), ("pyarrow", by_pyarrow)]:
        lines = sorted(json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for row in read(globs))
        (directory / f"{engine}.{table}.ndjson").write_text("".join(line + "\n" for line in lines))
