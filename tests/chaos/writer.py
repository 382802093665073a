"""`python -m tests.chaos.writer ACCOUNT COUNT`: transactions that read and write, as those of the console do.

Prints how many went through, then a line for each that did not.
"""

import sys

import django


def main(account_id: int, count: int) -> None:
    from django.db import DatabaseError, transaction

    from apps.accounts.models import Account
    from apps.accounts.services import SYSTEM, record_audit

    failures: list[str] = []
    for number in range(count):
        try:
            with transaction.atomic():
                account = Account.objects.get(pk=account_id)
                record_audit(account=account, actor=SYSTEM, act="chaos.write", target=account, after={"n": number})
                Account.objects.filter(pk=account_id).update(name=account.name)
        except DatabaseError as error:
            failures.append(str(error))
    print(count - len(failures), *failures, sep="\n")


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]), int(sys.argv[2]))
