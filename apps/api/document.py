"""What the OpenAPI document says of the API as a whole."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = "apps.api.authentication.BearerToken"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token of a member, shown once when it is made."}


class SignedAddressScheme(OpenApiAuthenticationExtension):
    target_class = "apps.api.signed_addresses.SignedAddress"
    name = "signedAddress"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey", "in": "query", "name": "signature",
            "description": "An address that an answer gave, good for ten minutes.",
        }  # fmt: skip
