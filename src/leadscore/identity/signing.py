"""Signatures of people who approve.

Ed25519 (RFC 8032) by a key that follows from an API key's secret (HKDF, RFC 5869).

The secret signs; the key file only verifies. An API key has 256 random bits, so nothing about it can be
worked out from the public key.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_INFO: Final = b"leadscore.dev/v1 approval"


def public_key_of(secret: bytes) -> str:
    """Return the public key that belongs to an API key's secret, 64 hex digits."""
    return _private_key(secret).public_key().public_bytes_raw().hex()


def sign(secret: bytes, message: bytes) -> str:
    """Return the signature of a message, 128 hex digits."""
    return _private_key(secret).sign(message).hex()


def is_signed(public_key: str, message: bytes, signature: str) -> bool:
    """Tell whether the holder of the key's secret signed exactly this message.

    False for what is no signature.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private_key(secret: bytes) -> Ed25519PrivateKey:
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO).derive(secret)
    return Ed25519PrivateKey.from_private_bytes(seed)
