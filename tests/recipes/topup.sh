#!/bin/sh
# Buy credit once for an order, and say what became of it: sh topup.sh ACCOUNT DOLLARS ORDER
#
# Charges a card without a question. You may run it again for the same order: it is charged once.
# Exit codes: 0 charged, and the credit is there; 1 nothing was charged; 4 the card may have been
# charged.

charge=$(cfaigw-billing topup "$1" --amount "$2" --idempotency-key "$3" --yes --wait --json)
case $? in
0) echo "charged: $charge" ;;
1 | 2) # refused, or wrong usage: stderr says why
    exit 1 ;;
*) # its last line on stderr is the command to run next
    echo "do not charge it in another way before you have looked: $charge"
    exit 4 ;;
esac
