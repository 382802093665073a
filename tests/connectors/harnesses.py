"""All harnesses of the contract tests: kind of connector -> its variants."""

from tests.connectors.contract import HARNESSES as NEAR_HARNESSES
from tests.connectors.contract import Variant
from tests.connectors.contract_remote import REMOTE_HARNESSES

HARNESSES: dict[str, dict[str, Variant]] = {**NEAR_HARNESSES, **REMOTE_HARNESSES}
