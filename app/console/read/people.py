"""Names of those who acted: rows carry ids, pages show names."""

from collections.abc import Iterable

from sqlalchemy import select

from app.access.models import ApiKey, User
from app.kit.database import Tx


class Names(dict[str, str]):
    """Id -> name; an id nobody has any more stands for itself."""

    def __missing__(self, key: str) -> str:
        return key


def names_of(tx: Tx, ids: Iterable[str | None]) -> Names:
    wanted = {each for each in ids if each}
    users = tx.session.execute(select(User.id, User.name).where(User.id.in_(wanted))).all()
    keys = tx.session.execute(select(ApiKey.id, ApiKey.name).where(ApiKey.id.in_(wanted))).all()
    return Names({"system": "Sluice", **{row.id: row.name for row in [*users, *keys]}})
