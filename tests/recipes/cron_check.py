"""Is there credit left? For cron: silent when all is well.

    CLOUDFLARE_API_TOKEN=…             # with AI Gateway Read; and Account Settings Read for "all"
    */15 * * * *  python cron_check.py --below 25.00

Checks the accounts that are named, or all that the token can see. Prints a line for each that is
low (to stdout) or could not be read (to stderr), and then a summary; cron mails what is printed.

Exit codes: 0 all are well; 1 nothing could be checked; 2 wrong usage; 3 some accounts could not be
read, and no other is low; 5 some are low.
"""

# ruff: noqa: T201  # printing is its purpose

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from enum import IntEnum

from cfaigw_billing import Cloudflare, CloudflareError, CreditBalances, Money


class ExitCode(IntEnum):
    WELL = 0
    NOTHING_CHECKED = 1
    # 2 is argparse's: wrong usage.
    SOME_FAILED = 3
    SOME_LOW = 5


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    parser = argparse.ArgumentParser(description="Check AI Gateway credit.")
    parser.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="default: all")
    parser.add_argument("--below", type=Money.dollars, default="10.00", metavar="DOLLARS")
    parser.add_argument("-v", "--verbose", action="store_true", help="also when all is well")
    options = parser.parse_args(arguments)
    try:
        with Cloudflare(max_charge=0) as client:  # cannot charge a card
            balances = client.ai_gateway.billing.credit_balances(options.accounts or None)
    except ValueError as error:  # an argument or a variable is wrong; nothing was sent
        parser.error(str(error))
    except CloudflareError as error:
        print(error, file=sys.stderr)
        return ExitCode.NOTHING_CHECKED
    return report(balances, options.below, verbose=options.verbose)


def report(balances: CreditBalances, threshold: Money, *, verbose: bool) -> ExitCode:
    low = balances.below(threshold)
    for account_id, answer in low.items():
        balance, limit = answer.balance_money.told_apart(threshold)
        print(f"{account_id}: {balance} is below {limit}")
    for account_id, error in balances.failed.items():
        print(f"{account_id}: {error}", file=sys.stderr)
    code = ExitCode.SOME_FAILED if balances.failed else ExitCode.WELL
    if not balances:  # a token that sees no account is not good news either
        code = ExitCode.NOTHING_CHECKED
    elif low:
        code = ExitCode.SOME_LOW
    if verbose or code != ExitCode.WELL:
        print(f"{len(balances)} accounts read, {len(low)} low, {len(balances.failed)} not read")
    return code


if __name__ == "__main__":
    sys.exit(main())
