"""Abstract models: every row of ours belongs to an account, and every query says which."""

from typing import Any, ClassVar, Generic, NoReturn, Protocol, TypeVar

from django.db import models
from django.db.models import OuterRef

ModelT = TypeVar("ModelT", bound=models.Model)
QueryT = TypeVar("QueryT")

# How hot tables, and every pointer to a row that retention purges, refer to other rows: the database keeps no
# constraint (`check_books` looks for orphans) and no index beside those that answer a question.
LOOSE: dict[str, Any] = {
    "on_delete": models.DO_NOTHING,
    "db_constraint": False,
    "db_index": False,
    "related_name": "+",
}
# How the other tables refer to rows that are never deleted, where a named index already covers the column.
FIRM: dict[str, Any] = {"on_delete": models.PROTECT, "db_index": False, "related_name": "+"}


class UnscopedQueryError(AttributeError):
    """A query that does not say whose rows it wants."""


class _HasPk(Protocol):
    pk: Any


def _account_key(account: "_HasPk | int | OuterRef | None") -> "int | OuterRef":
    if isinstance(account, OuterRef):
        return account
    key = account if account is None or isinstance(account, int) else account.pk
    if key is None:
        raise UnscopedQueryError("A query needs an account that is saved; it got none.")
    return int(key)


class _Refusing:
    """Offers `.of(account)` and nothing else."""

    def __init__(self, model: type[models.Model]) -> None:
        self._model = model

    def __getattr__(self, name: str) -> NoReturn:
        raise UnscopedQueryError(
            f"{self._model.__name__}.objects.{name} would read the rows of every account: "
            f"say whose rows with {self._model.__name__}.objects.of(account) first."
        )


class ScopedAccess(_Refusing, Generic[ModelT]):
    def of(self, account: "_HasPk | int | OuterRef | None") -> "models.QuerySet[ModelT]":
        """The rows of one account: the account, its id, or in a subquery that of the outer row."""
        return self._model._default_manager.filter(account_id=_account_key(account))  # type: ignore[return-value]


class ScopedAccessBy(_Refusing, Generic[QueryT]):
    def of(self, account: "_HasPk | int | OuterRef | None") -> QueryT:
        """The rows of one account (the account, its id, or that of the outer row), as the model's own queryset."""
        return self._model._default_manager.filter(account_id=_account_key(account))  # type: ignore[return-value]


class Scoped:
    """`objects` of a model without a queryset class of its own."""

    def __get__(self, instance: models.Model | None, owner: type[ModelT]) -> ScopedAccess[ModelT]:
        return ScopedAccess(owner)


class ScopedBy(Generic[QueryT]):
    """`objects` of a model whose querysets are `QueryT`."""

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> ScopedAccessBy[QueryT]:
        return ScopedAccessBy(owner)


class AccountScoped(models.Model):
    """A row of an account. `objects.of(account)` is the way to it; `unscoped` is for the house's own machinery."""

    account = models.ForeignKey("accounts.Account", **FIRM)

    unscoped: ClassVar[models.Manager[Any]] = models.Manager()
    objects: ClassVar[Any] = Scoped()

    class Meta:
        abstract = True


class HotScoped(AccountScoped):
    """A row of a table that is written by the thousand: no foreign-key constraint in the database."""

    account = models.ForeignKey("accounts.Account", **LOOSE)

    class Meta:
        abstract = True
