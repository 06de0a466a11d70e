#!/bin/sh
# Buy credit once, and say what became of it: sh topup.sh ACCOUNT DOLLARS
#
# Charges a card without a question. Exit codes: 0 charged, and the credit is there; 1 nothing was
# charged; 4 the card may have been charged: look before you run it again.

charge=$(cfaigw-billing topup "$1" --amount "$2" --yes --wait --json)
case $? in
0) echo "charged: $charge" ;;
1 | 2) # refused, or wrong usage: stderr says why
    exit 1 ;;
*) # its last line on stderr is the command to run next
    echo "do not run it again before you have looked: $charge"
    exit 4 ;;
esac
