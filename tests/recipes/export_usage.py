"""A month of usage of all accounts, day by day, as CSV, Parquet and a table of DuckDB.

Needs the extra `notebook`, pyarrow and duckdb, and `CLOUDFLARE_API_TOKEN` in the environment.
"""

from datetime import UTC, datetime, timedelta

import duckdb

from cfaigw_billing import Cloudflare

with Cloudflare(max_charge=0) as client:
    start = datetime.now(UTC) - timedelta(days=30)
    usage = client.ai_gateway.billing.usage_histories(value_grouping_window="day", start_time=start)
frame = usage.to_pandas()
frame.to_csv("usage.csv")
frame.to_parquet("usage.parquet")
with duckdb.connect("usage.duckdb") as database:
    database.execute("CREATE OR REPLACE TABLE usage AS FROM 'usage.parquet'")
print(usage, *usage.failed.values(), sep="\n")  # noqa: T201  # failed accounts have no rows
