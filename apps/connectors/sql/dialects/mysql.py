"""MySQL and MariaDB, by PyMySQL."""

import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any

from pymysql.connections import Connection as DriverConnection
from pymysql.constants import CLIENT
from sqlalchemy.engine import Connection

from apps.connectors.sql.dialects.speech import EXPORT_IDLE_S, GRACE_S, Speech
from apps.connectors.sql.statements import Wording

NOT_TRANSACTIONAL = frozenset({"myisam", "aria", "memory", "csv", "archive", "mrg_myisam", "blackhole"})


class PatientConnection(DriverConnection):
    """Signs in to an opened socket, quickly; then waits for statements as long as they may take."""

    def enter(self, sock: socket.socket, patience_s: float) -> None:
        self.connect(sock)
        self._read_timeout = self._write_timeout = patience_s

    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        """Without a context of ours the driver verifies nobody; it would read the usual authorities all the same."""
        return sslp or unverified()

    def drop(self) -> None:
        """Close without reading what is still to come of an answer."""
        if self._result is not None:
            self._result.unbuffered_active = False
        self._force_close()


def unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class MySqlSpeech(Speech):
    label = "MySQL"
    dialect = "mysql+pymysql"
    library = "pymysql"
    prefix = "MYSQL"
    begin = ("START TRANSACTION",)
    begin_reading = ("START TRANSACTION READ ONLY",)
    has_rows_of_values = True
    outages = frozenset(
        "1021 1040 1053 1077 1079 1080 1105 1114 1129 1152 1153 1158 1159 1160 1161 1180 1203 1226 1317 1927 "  # noqa: SIM905
        "2002 2003 2006 2013 2014 2055 4031".split()
    )
    undoing = frozenset({"1213", "1614", "1689"})
    waiting = frozenset({"1205", "3572"})
    general = frozenset(
        {"1044", "1049", "1054", "1064", "1109", "1142", "1143", "1146", "1149", "1227", "1290", "1305", "1370", "1792"}
    )
    # a comment that is run, and files on the server's disk: a read-only transaction stops neither
    refused_text = re.compile(r"/\*M?!|\bINTO\s+(?:OUTFILE|DUMPFILE)\b|\bLOAD_FILE\s*\(", re.IGNORECASE)

    def connect(self, driver: Any, address: str) -> DriverConnection:
        config, limits = self.config, self.limits
        made = PatientConnection(
            host=config.host,
            port=config.port,
            user=config.user,
            password=config.password.get_secret_value() if config.password else "",
            database=config.name,
            charset="utf8mb4",
            connect_timeout=limits.connect_s,
            read_timeout=limits.connect_s,
            write_timeout=limits.connect_s,
            client_flag=CLIENT.FOUND_ROWS,  # an update that changes nothing has found its row all the same
            autocommit=False,
            local_infile=False,
            ssl=self._tls(),
            ssl_disabled=config.sslmode == "disable",
            defer_connect=True,
        )
        # the judged address: the name is not resolved a second time
        sock = socket.create_connection((address, config.port), limits.connect_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            made.enter(sock, self.statement_s + GRACE_S)
        except BaseException:
            sock.close()
            raise
        return made

    def _tls(self) -> ssl.SSLContext | None:
        """None lets the driver encrypt where the server can; with a context it insists."""
        mode = self.config.sslmode
        if mode in {"disable", "prefer"}:
            return None
        if mode == "require":
            return unverified()
        context = ssl.create_default_context()
        context.check_hostname = mode == "verify-full"
        return context

    def set_up(self, connection: Connection, *, is_reader: bool) -> list[str]:
        lock_s = max(1, round(self.lock_s))
        # our parser reads '\' as the server does: a backslash in a text is a backslash
        strict = "CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES', 'NO_BACKSLASH_ESCAPES')"
        return [
            f"SET SESSION sql_mode = {strict}",
            f"SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = {lock_s}, lock_wait_timeout = {lock_s}",
            f"SET SESSION net_write_timeout = {EXPORT_IDLE_S}",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            self._statement_limit(connection, self.statement_s),
        ]

    def _statement_limit(self, connection: Connection | None, seconds: float) -> str:
        if connection is not None:
            self._is_mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
        if self._is_mariadb:
            return f"SET SESSION max_statement_time = {seconds:g}"
        return f"SET SESSION max_execution_time = {round(1000 * seconds)}"

    _is_mariadb = False

    def unlimited(self) -> list[str]:
        return [self._statement_limit(None, 0)]

    def short_lock(self) -> list[str]:
        return ["SET SESSION innodb_lock_wait_timeout = 1"]

    def abandon(self, driver: Any) -> None:
        driver.drop()

    def code_of(self, error: BaseException) -> str:
        number = error.args[0] if error.args else ""
        return str(number) if isinstance(number, int) and number else ""

    def upsert_ending(self, wording: Wording, shape: Sequence[str], keys: Sequence[str]) -> str | None:
        others = [name for name in shape if name not in keys] or [keys[0]]
        return " ON DUPLICATE KEY UPDATE " + ", ".join(
            f"{wording.name(name)} = VALUES({wording.name(name)})" for name in others
        )

    def refused_table(self, options: dict[str, Any]) -> str:
        engine = str(options.get("mysql_engine") or options.get("mariadb_engine") or "")
        if engine.lower() in NOT_TRANSACTIONAL:
            return f"it is kept by the engine {engine}, which knows no transactions; ALTER TABLE … ENGINE=InnoDB helps"
        return ""


class MariaDbSpeech(MySqlSpeech):
    label = "MariaDB"
    dialect = "mariadb+pymysql"
