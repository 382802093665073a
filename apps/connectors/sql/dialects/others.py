"""SQL Server by pymssql, Oracle by python-oracledb: their drivers are installed by who needs them."""

from typing import Any

from sqlalchemy.engine import Connection, Dialect

from apps.connectors.sql.dialects.speech import Quoting, Speech
from apps.connectors.sql.statements import Wording


class FetchFirst(Quoting):
    """The standard's way to ask for the first rows; it wants an order."""

    def first(self, count: int, order: str = "") -> str:
        return f"{order} OFFSET 0 ROWS FETCH NEXT {count} ROWS ONLY"


class SqlServerFirst(FetchFirst):
    def first(self, count: int, order: str = "") -> str:
        return super().first(count, order or "ORDER BY (SELECT NULL)")


class SqlServerSpeech(Speech):
    label = "SQL Server"
    dialect = "mssql+pymssql"
    library = "pymssql"
    prefix = "MSSQL"
    lock_ending = ""
    outages = frozenset({"233", "701", "802", "1101", "1105", "9002", "10053", "10054", "10060", "17142", "20003"})
    undoing = frozenset({"1205"})
    waiting = frozenset({"1222"})
    general = frozenset({"102", "156", "207", "208", "229", "230", "262", "2812", "4060"})

    def connect(self, driver: Any, address: str) -> Any:
        config = self.config
        return driver.connect(
            server=address,
            port=str(config.port),
            user=config.user,
            password=config.password.get_secret_value() if config.password else "",
            database=config.name,
            login_timeout=max(1, round(self.limits.connect_s)),
            timeout=max(1, round(self.statement_s)),
            autocommit=False,
            charset="UTF-8",
            encryption={"disable": "off", "prefer": "request"}.get(config.sslmode, "require"),
        )

    def set_up(self, connection: Connection, *, is_reader: bool) -> list[str]:
        return [f"SET LOCK_TIMEOUT {round(1000 * self.lock_s)}", "SET XACT_ABORT OFF"]

    def short_lock(self) -> list[str]:
        return ["SET LOCK_TIMEOUT 250"]

    def code_of(self, error: BaseException) -> str:
        number = error.args[0] if error.args else ""
        return str(number) if isinstance(number, int) and number else ""

    def message_of(self, error: BaseException) -> str:
        said = error.args[1] if len(error.args) > 1 else str(error)
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return " ".join(text.split("DB-Lib error")[0].split())

    def wording(self, dialect: Dialect) -> Wording:
        return SqlServerFirst(dialect)


class OracleSpeech(Speech):
    label = "Oracle"
    dialect = "oracle+oracledb"
    library = "oracledb"
    prefix = "ORA"
    begin_reading = ("SET TRANSACTION READ ONLY",)
    outages = frozenset({"28", "1012", "1033", "1034", "1089", "1090", "1653", "1654", "3113", "3114", "3135", "12541"})
    undoing = frozenset({"1591", "2091"})
    waiting = frozenset({"54", "30006", "60"})
    general = frozenset({"900", "904", "911", "933", "936", "942", "1031", "6550"})

    def connect(self, driver: Any, address: str) -> Any:
        config = self.config
        made = driver.connect(
            user=config.user,
            password=config.password.get_secret_value() if config.password else "",
            host=address,
            port=config.port,
            service_name=config.name,
            protocol="tcp" if config.sslmode in {"disable", "prefer"} else "tcps",
            ssl_server_dn_match=config.sslmode == "verify-full",
            tcp_connect_timeout=self.limits.connect_s,
        )
        made.call_timeout = round(1000 * self.statement_s)
        return made

    def set_up(self, connection: Connection, *, is_reader: bool) -> list[str]:
        return [
            "ALTER SESSION SET TIME_ZONE = '+00:00'",
            "ALTER SESSION SET NLS_DATE_FORMAT = 'YYYY-MM-DD\"T\"HH24:MI:SS'",
            "ALTER SESSION SET NLS_TIMESTAMP_FORMAT = 'YYYY-MM-DD\"T\"HH24:MI:SS.FF'",
        ]

    def code_of(self, error: BaseException) -> str:
        said = error.args[0] if error.args else None
        code = getattr(said, "code", 0)
        return str(code) if code else ""

    def message_of(self, error: BaseException) -> str:
        said = error.args[0] if error.args else error
        return " ".join(str(getattr(said, "message", said)).split())

    def wording(self, dialect: Dialect) -> Wording:
        return FetchFirst(dialect)
