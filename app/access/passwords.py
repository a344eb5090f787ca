"""Passwords: argon2id hashes, a short policy, and the same work whether or not the account exists."""

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import FieldError, InvalidInput

MIN_LENGTH = 12
MAX_LENGTH = 200
_MIN_DISTINCT = 5

# What guessing tools try first among passwords long enough for the policy.
_COMMON_ONES = """
123456789012 1234567890123 12345678901234 password1234 password12345 password123456 passwordpassword
qwertyuiop12 qwertyuiop123 qwertyuiopas qwertyuiopasdf 1qaz2wsx3edc 1q2w3e4r5t6y 1q2w3e4r5t6y7u asdfghjkl123
zaq12wsxcde3 letmeinletmein administrator administrator1 welcome12345 welcome123456 changemechangeme
changeme1234 iloveyou1234 abcdefghijkl abcdefghijklm abc123abc123 qwerty123456 qwertyqwerty monkey123456
trustno1trustno1 correcthorsebatterystaple
"""

_hasher = PasswordHasher()


class WeakPassword(InvalidInput):
    code = "weak_password"
    title = "The password is too easy to guess"


def hash_password(password: str, *, email: str = "") -> str:
    """The argon2id hash to store; WeakPassword when the policy refuses it."""
    text = _normal(password)
    _check(text, email)
    return _hasher.hash(text)


def matches(password_hash: str, password: str) -> bool:
    """Whether `password` is the one behind the hash; False for a hash that cannot be read."""
    try:
        return _hasher.verify(password_hash, _normal(password)[: MAX_LENGTH + 1])
    except (VerificationError, InvalidHashError):
        return False


def spend_time(password: str) -> None:
    """The work of one comparison, for an account that does not exist."""
    matches(_of_nobody(), password)


@cache
def _of_nobody() -> str:
    # Made when it is first asked for: it is slow by intent, and few processes ever ask.
    return _hasher.hash("nobody has this password")


def is_outdated(password_hash: str) -> bool:
    """Whether the hash was made with weaker parameters than today's and should be made again at sign-in."""
    return _hasher.check_needs_rehash(password_hash)


def rehash(password: str) -> str:
    """A new hash of a password that was already accepted; the policy may have grown stricter since."""
    return _hasher.hash(_normal(password))


def _normal(password: str) -> str:
    # The same password typed on another keyboard may arrive composed differently.
    return unicodedata.normalize("NFKC", password)


def _check(password: str, email: str) -> None:
    reason = _weakness(password, email)
    if reason:
        raise WeakPassword(f"The password {reason}", errors=[FieldError("password", reason, "weak_password")])


def _weakness(password: str, email: str) -> str:
    lowered = password.casefold()
    if len(password) < MIN_LENGTH:
        return f"must have at least {MIN_LENGTH} characters"
    if len(password) > MAX_LENGTH:
        return f"must have at most {MAX_LENGTH} characters"
    if len(set(lowered)) < _MIN_DISTINCT:
        return f"must use at least {_MIN_DISTINCT} different characters"
    if lowered.replace(" ", "") in _COMMON_ONES.split():
        return "is among those guessed first; choose another"
    name = email.partition("@")[0].casefold()
    if len(name) > 3 and name in lowered and len(lowered) - len(name) < 6:
        return "is mostly the e-mail address; choose another"
    return ""
