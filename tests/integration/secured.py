"""A real Kafka behind TLS, SASL and access control lists; certificates and tokens are its own."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from streams.access import Right
from streams.broker import KafkaCluster

PLAIN_USERS = {"plain-worker": "plain-secret"}
ISSUER = "https://issuer.test"
_JAAS = "org.apache.kafka.common.security"


def _openssl(*arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _url64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Authority:
    """A certificate authority in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.certificate = directory / "ca.pem"
        self._key = directory / "ca.key"
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca",
            "-keyout", str(self._key), "-out", str(self.certificate),
        )  # fmt: skip

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key (PKCS #8) of a server on loopback or of a client."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        request = self.directory / f"{name}.csr"
        extensions = self.directory / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", str(key), "-out", str(request),
        )  # fmt: skip
        _openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey",
            str(self._key), "-CAcreateserial", "-days", "2", "-extfile", str(extensions),
            "-out", str(certificate),
        )  # fmt: skip
        return certificate, key


class TokenIssuer:
    """Signs OAuth bearer tokens (JWT, RS256) that the broker checks against a key set in a file."""

    def __init__(self, directory: Path) -> None:
        self._key = directory / "tokens.key"
        self.key_set = directory / "tokens.jwks"
        _openssl("genrsa", "-out", str(self._key), "2048")
        modulus = _openssl("rsa", "-in", str(self._key), "-noout", "-modulus").decode()
        number = bytes.fromhex(modulus.strip().partition("=")[2])
        key = {"kty": "RSA", "kid": "test", "use": "sig", "alg": "RS256", "e": "AQAB"}
        self.key_set.write_text(json.dumps({"keys": [{**key, "n": _url64(number)}]}))

    def token(self, user: str, seconds: float) -> str:
        """A token of that user that ends in so many seconds."""
        now = int(time.time())
        claims = {"sub": user, "iat": now, "exp": now + round(seconds), "aud": "kafka"}
        claims["iss"] = ISSUER
        signed = f"{self._part({'alg': 'RS256', 'kid': 'test'})}.{self._part(claims)}"
        signature = _openssl("dgst", "-sha256", "-sign", str(self._key), given=signed.encode())
        return f"{signed}.{_url64(signature)}"

    @staticmethod
    def _part(document: dict[str, Any]) -> str:
        return _url64(json.dumps(document).encode())


class SecuredKafka(NamedTuple):
    """The cluster and what a client of it may need."""

    cluster: KafkaCluster
    authority: Authority
    tokens: TokenIssuer
    admin: AdminClient

    @property
    def bootstrap(self) -> str:
        """Where users come in: TLS and SASL."""
        return self.cluster.bootstrap_of("SASL_SSL")

    @property
    def certificate_bootstrap(self) -> str:
        """Where a client certificate is what tells who comes."""
        return self.cluster.bootstrap_of("SSL")

    def scram_user(self, name: str, password: str) -> None:
        """Create a user for both SCRAM mechanisms."""
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            change = UserScramCredentialUpsertion(
                name, ScramCredentialInfo(mechanism, 4096), password.encode()
            )
            for future in self.admin.alter_user_scram_credentials([change]).values():
                future.result(20)

    def grant(self, user: str, rights: list[Right]) -> None:
        """Let a user do exactly this, beside what it may do already."""
        bindings = dict.fromkeys(
            _binding(user, right, operation) for right in rights for operation in right.operations
        )
        for future in self.admin.create_acls(list(bindings)).values():
            future.result(20)

    def revoke(self, user: str, right: Right) -> None:
        """Take one grant back."""
        from confluent_kafka.admin import AclBindingFilter

        for operation in right.operations:
            b = _binding(user, right, operation)
            wanted = AclBindingFilter(
                b.restype, b.name, b.resource_pattern_type, b.principal, b.host, b.operation,
                b.permission_type,
            )  # fmt: skip
            for future in self.admin.delete_acls([wanted]).values():
                assert future.result(20), f"{user} had no such right: {right}"


def _binding(user: str, right: Right, operation: str) -> AclBinding:
    return AclBinding(
        ResourceType[right.resource.upper()],
        right.name,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation[operation.upper()],
        AclPermissionType.ALLOW,
    )


@contextmanager
def secured_kafka(directory: Path) -> Iterator[SecuredKafka]:
    """One broker; its inner listener, for itself and the tests' admin, lets everybody do all."""
    authority = Authority(directory / "authority")
    tokens = TokenIssuer(authority.directory)
    certificate, key = authority.issue("broker")
    store = authority.directory / "broker-store.pem"
    store.write_text(key.read_text() + certificate.read_text() + authority.certificate.read_text())
    users = " ".join(f'user_{name}="{password}"' for name, password in PLAIN_USERS.items())
    sasl = "listener.name.sasl_ssl"
    overrides = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER",
        f"{sasl}.scram-sha-256.sasl.jaas.config": f"{_JAAS}.scram.ScramLoginModule required;",
        f"{sasl}.scram-sha-512.sasl.jaas.config": f"{_JAAS}.scram.ScramLoginModule required;",
        f"{sasl}.plain.sasl.jaas.config": f"{_JAAS}.plain.PlainLoginModule required {users};",
        f"{sasl}.oauthbearer.sasl.jaas.config": (
            f"{_JAAS}.oauthbearer.OAuthBearerLoginModule required;"
        ),
        f"{sasl}.oauthbearer.sasl.server.callback.handler.class": (
            f"{_JAAS}.oauthbearer.OAuthBearerValidatorCallbackHandler"
        ),
        f"{sasl}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": tokens.key_set.as_uri(),
        f"{sasl}.oauthbearer.sasl.oauthbearer.expected.audience": "kafka",
        f"{sasl}.oauthbearer.sasl.oauthbearer.expected.issuer": ISSUER,
        # Connections end with their token: a client must come back with a new one.
        f"{sasl}.oauthbearer.connections.max.reauth.ms": "3600000",
    }
    listeners = {"PLAINTEXT": "PLAINTEXT", "SASL_SSL": "SASL_SSL", "SSL": "SSL"}
    # Kafka reads key sets of no address that it was not told of.
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={tokens.key_set.as_uri()}"
    with KafkaCluster(overrides=overrides, listeners=listeners, java_options=[allowed]) as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        yield SecuredKafka(cluster, authority, tokens, admin)
