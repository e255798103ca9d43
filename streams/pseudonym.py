"""Pseudonyms: keyed hashes that stand for user ids in state, topics and logs.

A pseudonym is HMAC-SHA-256 of the user id, cut to 128 bits, behind four characters that tell keys
apart. Who has the key can say whether a pseudonym is a given user's, and nobody else can, even with
a list of all users. Without the key nothing leads back from a pseudonym to a user.
"""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256

MIN_KEY_CHARACTERS = 32
PSEUDONYM_CHARACTERS = 27
_HASH_BYTES = 16
_KEY_NAME_CHARACTERS = 4


class Pseudonyms:
    """The pseudonyms that one key makes."""

    def __init__(self, key: str) -> None:
        """`key`: at least `MIN_KEY_CHARACTERS`, ValueError if not; use random ones."""
        if len(key) < MIN_KEY_CHARACTERS:
            raise ValueError(f"a pseudonym key has at least {MIN_KEY_CHARACTERS} characters")
        self._key = key.encode()
        # Of a hash with a key of its own, so that it says nothing of any user's hash.
        name = hmac.digest(sha256(self._key).digest(), b"name of the key", "sha256")
        self.prefix = urlsafe_b64encode(name).decode()[:_KEY_NAME_CHARACTERS] + "."

    def of(self, user_id: str) -> str:
        """The pseudonym of a user."""
        return self.of_bytes(user_id.encode())

    def of_bytes(self, user_id: bytes) -> str:
        """The pseudonym of a user, from the id's UTF-8 bytes; other bytes have one too."""
        digest = hmac.digest(self._key, user_id, "sha256")[:_HASH_BYTES]
        return self.prefix + urlsafe_b64encode(digest).decode().rstrip("=")

    def is_ours(self, user_id: str) -> bool:
        """Whether an id looks like a pseudonym that this key made."""
        return len(user_id) == PSEUDONYM_CHARACTERS and user_id.startswith(self.prefix)
