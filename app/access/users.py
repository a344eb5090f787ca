"""People: creating them, their roles, and signing in.

Wrong passwords are counted per account and address, so a stranger's guessing locks out the stranger and not the
person. An unknown account, a wrong password and a disabled account all get the same answer after the same work.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.access import passwords, sessions
from app.access.actor import Actor, Role
from app.access.models import SignInFailure, User
from app.errors import AppError, Conflict, FieldError, InvalidInput, NotFound, Unauthenticated
from app.kit.database import Tx
from app.kit.ids import new_id

FREE_FAILURES = 5
FIRST_LOCK = timedelta(minutes=1)
LONGEST_LOCK = timedelta(hours=1)
#: Failures older than this no longer count.
FORGET_AFTER = timedelta(hours=24)

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}")
LANGUAGES = ("en", "zh")


class EmailTaken(Conflict):
    code = "email_taken"
    title = "Somebody has this e-mail address already"


class LastAdmin(Conflict):
    code = "last_admin"
    title = "A merchant needs at least one administrator who can sign in"


class SignInRefused(Unauthenticated):
    code = "sign_in_refused"
    title = "The e-mail address or the password is not right"


class SignInLocked(AppError):
    code = "sign_in_locked"
    title = "Too many wrong passwords; wait a little before the next try"
    status = 429


@dataclass(frozen=True, slots=True)
class NewUser:
    email: str
    name: str
    roles: frozenset[Role]
    password: str
    language: str = "en"


def create_user(tx: Tx, actor: Actor, new: NewUser) -> User:
    """A person of the actor's merchant. WeakPassword, EmailTaken, or InvalidInput naming the field."""
    actor.require(Role.ADMIN)
    email = normal_email(new.email)
    _require_language(new.language)
    row = {
        "id": new_id("usr"),
        "merchant_id": actor.merchant_id,
        "email": email,
        "name": _require_name(new.name),
        "roles": sorted(new.roles),
        "password_hash": passwords.hash_password(new.password, email=email),
        "language": new.language,
        "created_at": tx.now(),
    }
    made = tx.session.scalars(insert(User).on_conflict_do_nothing(index_elements=["email"]).returning(User), row)
    user = made.one_or_none()
    if user is None:
        raise EmailTaken(f"{email} is taken", errors=[FieldError("email", "is taken", "email_taken")])
    return user


def authenticate(tx: Tx, email: str, password: str, address: str) -> User | SignInRefused | SignInLocked:
    """The person, or why not. A refusal is returned and not raised, so that its count commits with the caller."""
    account = email.strip().casefold()[:320]
    failure = _failure_of(tx, account, address)
    if failure.locked_until is not None and failure.locked_until > tx.now():
        seconds = int((failure.locked_until - tx.now()).total_seconds()) + 1
        return SignInLocked(f"Try again in {seconds} seconds", extra={"retry_after": seconds})
    user = tx.session.scalar(select(User).where(User.email == account))
    if user is None:
        passwords.spend_time(password)
    elif passwords.matches(user.password_hash, password) and user.disabled_at is None:
        return _signed_in(tx, user, password, failure)
    _count_failure(tx, failure)
    return SignInRefused()


def actor_of(user: User) -> Actor:
    return Actor(user.id, user.name, user.merchant_id, frozenset(user.roles))


def find_user(tx: Tx, actor: Actor, user_id: str) -> User:
    user = tx.session.scalar(select(User).where(User.id == user_id, User.merchant_id == actor.merchant_id))
    if user is None:
        raise NotFound(f"There is no user {user_id}")
    return user


def users(tx: Tx, actor: Actor) -> list[User]:
    """Everybody of the actor's merchant by name, including those who were disabled."""
    query = select(User).where(User.merchant_id == actor.merchant_id).order_by(User.name, User.id)
    return list(tx.session.scalars(query))


def set_roles(tx: Tx, actor: Actor, user_id: str, roles: Iterable[Role]) -> User:
    actor.require(Role.ADMIN)
    admins = _lock_admins(tx, actor)
    user = find_user(tx, actor, user_id)
    wanted = sorted(set(roles))
    if Role.ADMIN not in wanted:
        _require_another_admin(admins, user)
    user.roles = [str(role) for role in wanted]
    return user


def disable_user(tx: Tx, actor: Actor, user_id: str) -> User:
    """The person can no longer sign in; their sessions end and their tokens stop working at once."""
    actor.require(Role.ADMIN)
    admins = _lock_admins(tx, actor)
    user = find_user(tx, actor, user_id)
    _require_another_admin(admins, user)
    user.disabled_at = user.disabled_at or tx.now()
    sessions.end_all(tx, user.id)
    return user


def enable_user(tx: Tx, actor: Actor, user_id: str) -> User:
    actor.require(Role.ADMIN)
    user = find_user(tx, actor, user_id)
    user.disabled_at = None
    return user


def change_password(tx: Tx, user: User, present: str, new: str) -> None:
    """A person's own change: the present password is asked for, and every session ends."""
    if not passwords.matches(user.password_hash, present):
        message = "is not the present password"
        raise InvalidInput(f"The present password {message}", errors=[FieldError("present", message, "wrong")])
    user.password_hash = passwords.hash_password(new, email=user.email)
    sessions.end_all(tx, user.id)


def reset_password(tx: Tx, actor: Actor, user_id: str, new: str) -> User:
    """An administrator's change for somebody who forgot; every session of that person ends."""
    actor.require(Role.ADMIN)
    user = find_user(tx, actor, user_id)
    user.password_hash = passwords.hash_password(new, email=user.email)
    sessions.end_all(tx, user.id)
    return user


def set_language(user: User, language: str) -> None:
    _require_language(language)
    user.language = language


def normal_email(email: str) -> str:
    """The address as it is stored and compared: trimmed, in lower case."""
    text = email.strip().casefold()
    if not _EMAIL.fullmatch(text):
        raise InvalidInput("The e-mail address is not valid", errors=[FieldError("email", "is not valid")])
    return text


def _require_name(name: str) -> str:
    text = " ".join(name.split())
    if not 1 <= len(text) <= 120:
        message = "must have 1 to 120 characters"
        raise InvalidInput(f"The name {message}", errors=[FieldError("name", message)])
    return text


def _require_language(language: str) -> None:
    if language not in LANGUAGES:
        message = f"must be one of {', '.join(LANGUAGES)}"
        raise InvalidInput(f"The language {message}", errors=[FieldError("language", message)])


def _failure_of(tx: Tx, account: str, address: str) -> SignInFailure:
    """The row that counts for this account and address, locked, so that parallel guesses queue up behind it."""
    row = {"account": account, "address": address, "failures": 0, "failed_at": tx.now()}
    tx.execute(insert(SignInFailure).values(row).on_conflict_do_nothing())
    return tx.session.scalars(
        select(SignInFailure)
        .where(SignInFailure.account == account, SignInFailure.address == address)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _count_failure(tx: Tx, failure: SignInFailure) -> None:
    if tx.now() - failure.failed_at > FORGET_AFTER:
        failure.failures = 0
    failure.failures += 1
    failure.failed_at = tx.now()
    excess = failure.failures - FREE_FAILURES
    if excess >= 0:
        failure.locked_until = tx.now() + min(FIRST_LOCK * 2 ** min(excess, 10), LONGEST_LOCK)


def _signed_in(tx: Tx, user: User, password: str, failure: SignInFailure) -> User:
    tx.session.delete(failure)
    user.last_sign_in_at = tx.now()
    if passwords.is_outdated(user.password_hash):
        user.password_hash = passwords.rehash(password)
    return user


def forget_failures(tx: Tx) -> None:
    """Remove counts nobody needs any more; called now and then by the worker."""
    tx.execute(delete(SignInFailure).where(SignInFailure.failed_at < tx.now() - FORGET_AFTER))


def _lock_admins(tx: Tx, actor: Actor) -> list[str]:
    """The ids of those who can administer now, locked, so that two of them cannot remove each other at once."""
    query = select(User.id).where(
        User.merchant_id == actor.merchant_id, User.disabled_at.is_(None), User.roles.contains([Role.ADMIN])
    )
    return list(tx.session.scalars(query.order_by(User.id).with_for_update()))


def _require_another_admin(admins: list[str], user: User) -> None:
    if admins == [user.id]:
        raise LastAdmin(f"{user.name} is the only administrator; give somebody else the role first")
