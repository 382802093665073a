"""A user for the pages."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model


@pytest.fixture
def mara(db: None) -> Any:
    return get_user_model().objects.create_user("mara", "mara@example.com", "a long password", first_name="Mara")
