"""What a service does not start with in production, and starts with elsewhere."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.service_settings import ServiceSettings
from chassis.settings import SettingsError, load


class Orders(ServiceSettings):
    """A service with a secret of its own."""

    api_key: SecretStr = SecretStr("kZ8-Qm41-xT7w-0pRv")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEBUG", "true"),
        ("CORS_ORIGINS", "*"),
        ("API_KEY", "changeme"),
        ("TRUSTED_PROXIES", "0.0.0.0/0"),
        ("TRUSTED_PROXIES", "::/0"),
    ],
)
def test_production_refuses_what_is_open_or_weak(tmp_path: Path, variable: str, value: str) -> None:
    environ = {variable: value, "CONFIG_DIR": str(tmp_path), "SECRETS_DIR": str(tmp_path)}
    load(Orders, environ=environ, directory=tmp_path)

    with pytest.raises(SettingsError) as caught:
        load(Orders, environ={**environ, "ENVIRONMENT": "production"}, directory=tmp_path)
    assert [mistake.variable for mistake in caught.value.mistakes] == [variable]
