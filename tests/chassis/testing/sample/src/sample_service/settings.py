"""What the sample service can be told."""

from pydantic import Field, SecretStr

from chassis.service_settings import ServiceSettings
from chassis.settings import Group


class PaymentSettings(Group, prefix="PAYMENTS_"):
    """The payment provider."""

    api_key: SecretStr = Field(SecretStr("change-me"), description="Key of the provider.")


class Settings(ServiceSettings):
    """All settings."""

    payments: PaymentSettings = PaymentSettings()
