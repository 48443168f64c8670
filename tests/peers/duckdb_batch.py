#!/usr/bin/env python3
"""The same answer by DuckDB as one batch over the same file: python3 duckdb_batch.py FILE. Prints the seconds that the query took.

Needs the package duckdb. URLs are taken as they are: what DuckDB saves by not making them canonical is in its favour. Nothing
but the answer is stored.
"""
import sys
import time

import duckdb

QUERY = """
create table answer as
with click as (
    select user_id, epoch_ms(cast("timestamp" as timestamp)) as t, url, coalesce(country, 'ZZ') as country, row_number() over () as arrival
    from read_json(?, format = 'newline_delimited', columns = {
        user_id: 'varchar', "timestamp": 'varchar', url: 'varchar', country: 'varchar'})
), visit as (
    select *, lead(t) over (partition by user_id order by t, arrival) - t as gap from click
), measured as (
    select t, url, country, user_id, case when gap <= 1800000 then gap end as spent from visit
), windowed as (
    select w.name as window_name, t - t % w.size as start, url, country, user_id, spent
    from measured, (values ('1m', 60000), ('1h', 3600000), ('1d', 86400000)) as w(name, size)
)
select window_name, start, url, country, count(*) as clicks, count(distinct user_id) as unique_users,
       avg(spent) / 1000 as avg_time_seconds, coalesce(sum(spent), 0) / 1000 as total_time_seconds, count(spent) as time_samples
from windowed group by all
"""

connection = duckdb.connect()
began = time.perf_counter()
connection.execute(QUERY, [sys.argv[1]])
elapsed = time.perf_counter() - began
print(f"{connection.execute('select count(*) from answer').fetchone()[0]} documents", file=sys.stderr)
print(f"{elapsed:.3f}")
