"""The balances of very many accounts, asked by many machines. Needs Dask: `distributed`.

    CLOUDFLARE_API_TOKENS_FILE=/run/secrets/tokens      # on each worker; a line is `account token`
    python dask_balances.py tcp://scheduler:8786 4 < accounts.txt

4 is the number of worker processes behind each internet address: they share its pace. This is worth
it where each account has a token of its own, and there are more accounts than one address can ask
in time, at 150 a second. With one token it is not: its limit is the same for all machines together.

No token leaves a worker. If a worker dies, Dask lets another ask for its accounts again: that is
safe, because this only reads. Never send a charge this way: Dask would repeat it, too.
"""

# ruff: noqa: T201  # printing is its purpose
# mypy: disable-error-code="no-untyped-call"
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from distributed import Client, Worker, WorkerPlugin, as_completed, get_worker

from cfaigw_billing import Cloudflare, CloudflareError, CreditBalances, Money

PER_ADDRESS = 150.0  # requests a second; the service takes 200
PART = 500  # accounts that a worker takes at a time, and that another asks again if it dies


def tokens() -> dict[str, str]:
    """The token of each account, as this machine has them."""
    lines = Path(os.environ["CLOUDFLARE_API_TOKENS_FILE"]).read_text().splitlines()
    words = (line.partition("#")[0].split() for line in lines)
    return dict(filter(None, words))


class Billing(WorkerPlugin):
    """Gives each worker process a client, for as long as it lives."""

    name = "billing"
    client: Cloudflare

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second

    def setup(self, worker: Worker) -> None:
        self.client = Cloudflare(
            api_tokens=tokens(),  # or a function that asks a vault for the token of an account
            max_charge=0,  # cannot charge a card
            max_requests_per_second=self.per_second,
        )

    def teardown(self, worker: Worker) -> None:
        self.client.close()


def balances_of(account_ids: Sequence[str]) -> CreditBalances:
    """Ask for a part of the balances: runs on a worker."""
    client = cast("Billing", get_worker().plugins[Billing.name]).client
    try:
        return client.ai_gateway.billing.credit_balances(account_ids)
    except CloudflareError as error:  # such as: all tokens of this part are refused
        found: CreditBalances = error.partial
        return found | CreditBalances({}, dict.fromkeys(found.missing, error))


def sweep(dask: Client, account_ids: Sequence[str], per_second: float) -> CreditBalances:
    """Let the workers ask for all balances, each at so many a second."""
    dask.register_plugin(Billing(per_second))
    parts = [account_ids[start : start + PART] for start in range(0, len(account_ids), PART)]
    found = CreditBalances({}, {})
    # Not in a variable, which would keep each part on its worker, to be asked again if that dies.
    for _, part in as_completed(dask.map(balances_of, parts, pure=False), with_results=True):
        found |= cast("CreditBalances", part)
    return found


def main(scheduler: str, workers_per_address: int) -> None:
    account_ids = sys.stdin.read().split()
    with Client(scheduler) as dask:
        balances = sweep(dask, account_ids, PER_ADDRESS / workers_per_address)
    print(balances)
    for account_id, answer in balances.below(Money.dollars(10)).items():
        print(account_id, answer.balance_money)
    for account_id, error in balances.failed.items():
        print(account_id, error, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
