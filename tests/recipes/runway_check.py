"""Will the credit last until somebody looks again? For cron: silent if it will.

    CLOUDFLARE_API_TOKEN=…             # with AI Gateway Read and Account Settings Read
    0 8 * * *  python runway_check.py 4

Prints a line for each account whose credit may run out within so many days (cron mails it), or that
could not be read, and ends with 1 then. `slack_alert.py` shows how to post such lines to Slack.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from cfaigw_billing import Cloudflare


def main(days: float) -> int:
    with Cloudflare(max_charge=0) as client:  # cannot charge a card
        runways = client.ai_gateway.billing.runways()
    soon = runways.within(timedelta(days=days))
    for account_id, runway in soon.items():
        when = f"empty about {runway.empties_at:%a %d %B}" if runway.empties_at else "empty"
        print(f"{runways.names[account_id]}: {runway.balance_money} left, {when}")  # noqa: T201
    for account_id, error in runways.failed.items():
        print(f"{account_id}: {error}", file=sys.stderr)  # noqa: T201
    return 1 if soon or runways.failed else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
