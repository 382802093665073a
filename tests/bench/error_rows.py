"""A database full of runs and errors, by a few statements over all rows; every kept counter is true.

The same account at two sizes: runs, retries and errors grow; what one page shows does not, nor do flows, root causes
and codes, of which a page would show more. Half of all errors and runs are of the first flow, and two fifths of these
of its first root cause, so that the lists and the samples of records are full at both sizes.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from django.contrib.auth.models import User
from django.db import connection

from apps.accounts.models import Account, Member, Role
from apps.accounts.services import add_member, create_account
from apps.core.clock import wall_now
from apps.engine.records import key_hash
from apps.errors.models import Cause, RetryItem, Tag
from apps.flows.models import Flow, Step
from apps.runs.models import FlowState, Run, StepRun
from tests.bench.load import make_owner
from tests.factories import make_flow, make_integration

ITEMS_A_RETRY = 5
DAYS = 20
CLASSES = ("value", "duplicate", "missing", "connection", "intermittent")
SOURCES = ("application", "mapping", "lookup")
PATTERNS = (
    "Price <number> of item <text> is below zero",
    "Price <number> is there already",
    "Airport <text> is missing",
    "Connection refused after <number> ms",
    "The altitude of <text> came too late",
)
HOT_KEY = "HOT-1"  # of a thousand errors at both sizes


@dataclass(frozen=True)
class Size:
    """How much there is; a tenth of the flows, at least one, are of another account.

    The first `together` flows are of one integration, the others of `integrations` more in turn.
    """

    errors: int
    errors_a_run: int = 100
    flows: int = 20
    integrations: int = 20
    together: int = 1
    causes: int = 90  # of each flow


@dataclass(frozen=True)
class World:
    """What the pages of the benchmark are asked with."""

    account: Account
    member: Member
    flow: Flow
    step: Step
    tag: Tag

    @property
    def user(self) -> User:
        return self.member.user


def fill(size: Size) -> World:
    """Seed an empty database."""
    account, other = (create_account(name=name, owner=make_owner()) for name in ("Bench", "Other"))
    member = add_member(account=account, user=make_owner(), role=Role.ADMINISTRATOR)  # type: ignore[arg-type]
    flows = make_flows(size, account, other)
    tag = Tag.unscoped.create(account=account, name="Asked the shop")
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX error_texts_search")
    for flow in flows:
        fill_causes(flow, size.causes)
    fill_runs(flows, size)
    facts = {"errors": size.errors, "a_run": size.errors_a_run, "days": DAYS}
    run_statements(ERRORS, member=member.pk, hot=key_hash(HOT_KEY), **facts)
    fill_retries(flows[0])
    run_statements(BESIDE, tag=tag.pk)
    run_statements(COUNTERS)
    run_statements(BUCKETS)
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX error_texts_search ON error_text USING gin (text gin_trgm_ops)")
        cursor.execute("VACUUM ANALYZE")
    return World(account, member, flows[0], Step.unscoped.get(flow=flows[0], key="target"), tag)


def make_flows(size: Size, account: Account, other: Account) -> list[Flow]:
    """The flows of the other account are the last ones."""
    theirs = max(1, size.flows // 10)
    first = make_integration(account)
    groups = [make_integration(account) for _ in range(size.integrations)]
    flows = [
        make_flow(integration=first if no < size.together else groups[no % size.integrations])
        for no in range(size.flows - theirs)
    ]
    return flows + [make_flow(integration=make_integration(other)) for _ in range(theirs)]


def fill_causes(flow: Flow, number: int) -> None:
    step = Step.unscoped.get(flow=flow, key="target")
    Cause.unscoped.bulk_create(
        Cause(
            account_id=flow.account_id, flow=flow, step=step, fingerprint=f"{flow.pk:032}{no:032}",
            source=SOURCES[no % 3], code=f"{500 + no}", pattern=f"{PATTERNS[no % 5]} ({no})",
            classification=CLASSES[no % 5],
        )
        for no in range(number)
    )  # fmt: skip


def fill_runs(flows: list[Flow], size: Size) -> None:
    """Ended runs with their errors: every second one of the first flow."""
    count, now = size.errors // size.errors_a_run, wall_now()
    first = now - timedelta(days=DAYS)
    runs = []
    for no in range(count):
        flow = flows[0] if no % 2 == 0 else flows[1 + no // 2 % (size.flows - 1)]
        at = first + (now - first) * no / count
        runs.append(
            Run(
                account_id=flow.account_id, flow=flow, integration_id=flow.integration_id, environment="production",
                revision_id=flow.revision_id, status="completed", outcome="completed_with_errors", records_in=1000,
                success=900, failed=size.errors_a_run, errors=size.errors_a_run, started_at=at, created_at=at,
                done_exporting=True, ended_at=at + timedelta(seconds=80),
            )
        )  # fmt: skip
    Run.unscoped.bulk_create(runs, batch_size=2_000)
    steps = {step.flow_id: step.pk for step in Step.unscoped.filter(key="target")}
    StepRun.unscoped.bulk_create(
        (
            StepRun(
                account_id=run.account_id, run=run, step_id=steps[run.flow_id], position=1, came_in=1000, success=900,
                errors=size.errors_a_run,
            )
            for run in runs
        ),
        batch_size=2_000,
    )  # fmt: skip
    newest = {run.flow_id: run for run in runs}
    for flow_id, run in newest.items():
        FlowState.unscoped.filter(pk=flow_id).update(
            last_run=run, last_status=run.outcome, last_started_at=run.started_at, last_ended_at=run.ended_at,
            last_runs="w" * 12, changed_at=now,
        )  # fmt: skip


def fill_retries(flow: Flow) -> None:
    """A fifth of the resolved errors of a flow were retried before, five in each retry."""
    chosen = "SELECT id FROM error WHERE flow_id = %s AND state = 'resolved' AND reason = 'retried' ORDER BY id"
    with connection.cursor() as cursor:
        cursor.execute(chosen, [flow.pk])
        ids = iter([row[0] for row in cursor.fetchall()])
    step, now = Step.unscoped.get(flow=flow, key="target"), wall_now()
    groups = iter(lambda: list(islice(ids, ITEMS_A_RETRY)), [])
    retries = [
        (
            Run(
                account_id=flow.account_id, flow=flow, integration_id=flow.integration_id, environment="production",
                revision_id=flow.revision_id, kind="retry", status="completed", outcome="completed", start_step=step,
                records_in=len(group), success=len(group), started_at=now, created_at=now, ended_at=now,
            ),
            group,
        )
        for group in groups
    ]  # fmt: skip
    Run.unscoped.bulk_create([run for run, _ in retries], batch_size=2_000)
    RetryItem.unscoped.bulk_create(
        (
            RetryItem(
                account_id=flow.account_id, run=run, error_id=key, seq=key, state="done", outcome="retried", at=now
            )
            for run, group in retries
            for key in group
        ),
        batch_size=5_000,
    )


def run_statements(text: str, **values: int | None) -> None:
    with connection.cursor() as cursor:
        for statement in text.split(";"):
            if statement.strip():
                cursor.execute(statement, values or None)


ERRORS = f"""
DROP TABLE IF EXISTS of_run, of_cause;
CREATE TEMP TABLE of_run AS SELECT row_number() OVER (ORDER BY r.id) - 1 AS no, r.id AS run, r.flow_id AS flow,
  r.account_id AS account, s.id AS step FROM run r JOIN step s ON s.flow_id = r.flow_id AND s.key = 'target';
CREATE TEMP TABLE of_cause AS SELECT flow_id AS flow, row_number() OVER (PARTITION BY flow_id ORDER BY id) - 1 AS no,
  count(*) OVER (PARTITION BY flow_id) AS causes, id AS cause FROM cause;
ANALYZE of_run;
ANALYZE of_cause;
INSERT INTO error (account_id, flow_id, step_id, run_id, cause_id, unit, state, in_doubt, retry_failed,
  source_step_path, key, key_hash, payload_hash, collision_no, ordinal, page_seq, pass_order, message, effects,
  occurred_at, attempts, next_attempt_at, retry_run_id, resolved_at, reason, resolved_by_id, resolved_run_id,
  passed_outcome, assignee_id, has_notes, keep)
SELECT account, flow, step, run, cause, CASE WHEN is_unit THEN 'page' ELSE 'record' END,
  CASE WHEN is_open THEN 'open' ELSE 'resolved' END, false, i %% 40 = 0, '',
  CASE WHEN is_unit THEN '' WHEN is_hot THEN '{HOT_KEY}' ELSE 'SKU-' || i / 4 END,
  CASE WHEN is_unit THEN NULL WHEN is_hot THEN %(hot)s ELSE hashtextextended('SKU-' || i / 4, 7) END,
  i, CASE WHEN is_hot THEN i * 1000 / %(errors)s ELSE i %% 4 END, i %% 100, 0, i,
  CASE kind WHEN 0 THEN format('Price %%s of item ''A-%%s'' is below zero', i, i / 3)
    WHEN 1 THEN format('Price %%s is there already, see order %%s', i, i / 7)
    WHEN 2 THEN format('Airport ''%%s'' is missing in the list of %%s', md5(i::text), i %% 77)
    WHEN 3 THEN format('Connection refused after %%s ms', i)
    ELSE format('The altitude of ''%%s'' came too late', i) END
    || CASE WHEN i %% 33 = 1 THEN ' in warehouse' ELSE '' END
    || CASE WHEN i %% (%(errors)s / 400) = 7 THEN ' beside a zyzzyva' ELSE '' END,
  '{{}}', now() - age, i %% 3, CASE WHEN is_open AND i %% 33 = 2 THEN now() + interval '1 hour' END,
  CASE WHEN is_open AND i %% 33 = 3 THEN run END, CASE WHEN NOT is_open THEN now() - age * 0.9 END,
  CASE WHEN is_open THEN '' ELSE (array['manual', 'superseded', 'succeeded', 'retried', 'ignored'])[1 + i %% 5] END,
  CASE WHEN NOT is_open AND i %% 5 = 0 THEN %(member)s END, CASE WHEN NOT is_open AND i %% 5 <> 0 THEN run END, '',
  CASE WHEN i %% 33 = 4 THEN %(member)s END, i %% 33 = 5, false
FROM (
  SELECT i, r.*, c.cause, c.no %% 5 AS kind, (i::bigint * 2654435761 >> 7) %% 10 < 6 AS is_open,
    i %% 50 = 13 AS is_unit, i %% (%(errors)s / 1000) = 1 AS is_hot,
    make_interval(days => %(days)s) * (1 - i::float / %(errors)s) AS age
  FROM generate_series(1, %(errors)s) i
  JOIN of_run r ON r.no = (i - 1) / %(a_run)s
  JOIN of_cause c ON c.flow = r.flow AND c.no = floor(power((i * 7919::bigint %% 1000) / 1000.0, 5) * c.causes)
) rows ORDER BY i
"""

BESIDE = """
INSERT INTO retry_data (error_id, account_id, from_step_id, record, root_run_id, origin_ordinal, occurrence, generation,
  version) SELECT id, account_id, step_id, convert_to(format('{"sku": "A-%%s", "price": -%%s, "place": "row %%s"}',
  id / 3, id, ordinal), 'UTF8'), run_id, ordinal, 0, 0, 1 FROM error ORDER BY id;
INSERT INTO error_text (error_id, account_id, text) SELECT id, account_id,
  btrim(regexp_replace(lower(key || ' ' || message), '[^[:alnum:]]+', ' ', 'g')) FROM error ORDER BY id;
INSERT INTO error_tag (account_id, error_id, tag_id) SELECT account_id, id, %(tag)s FROM error WHERE has_notes
"""

OPEN = "e.state = 'open' AND e.retry_run_id IS NULL"
COUNTERS = f"""
UPDATE cause c SET open_errors = n.open, total_errors = n.total, first_seen_at = n.first, last_seen_at = n.last
  FROM (SELECT cause_id, count(*) FILTER (WHERE {OPEN}) AS open, count(*) AS total, min(occurred_at) AS first,
  max(occurred_at) AS last FROM error e GROUP BY cause_id) n WHERE n.cause_id = c.id;
INSERT INTO cause_bucket (account_id, cause_id, slot, errors) SELECT account_id, cause_id,
  floor(extract(epoch FROM occurred_at) / 1800)::int AS slot, count(*) FROM error GROUP BY account_id, cause_id, slot;
UPDATE step_state t SET open_errors = n.open, open_units = n.units, watched_keys = n.watched, last_error_at = n.last
  FROM (SELECT step_id, count(*) FILTER (WHERE {OPEN}) AS open,
  count(*) FILTER (WHERE {OPEN} AND e.unit <> 'record') AS units, count(*) FILTER (WHERE e.key_hash IS NOT NULL
  AND (e.state = 'open' OR e.passed_run_id IS NULL)) AS watched, max(occurred_at) AS last
  FROM error e GROUP BY step_id) n WHERE n.step_id = t.step_id;
UPDATE run r SET errors = n.records, unit_errors = n.units, failed = n.records, success = 1000 - n.records
  FROM (SELECT run_id, count(*) FILTER (WHERE unit = 'record') AS records,
  count(*) FILTER (WHERE unit <> 'record') AS units FROM error GROUP BY run_id) n WHERE n.run_id = r.id;
UPDATE step_run s SET errors = n.records, unit_errors = n.units, success = 1000 - n.records, open_errors = n.open,
  auto_resolved = n.auto, user_resolved = n.people
  FROM (SELECT run_id, step_id, count(*) FILTER (WHERE unit = 'record') AS records,
  count(*) FILTER (WHERE unit <> 'record') AS units, count(*) FILTER (WHERE {OPEN}) AS open,
  count(*) FILTER (WHERE reason IN ('superseded', 'succeeded', 'ignored')) AS auto,
  count(*) FILTER (WHERE reason IN ('manual', 'retried', 'sent')) AS people
  FROM error e GROUP BY run_id, step_id) n WHERE n.run_id = s.run_id AND n.step_id = s.step_id
"""

BUCKETS = "; ".join(
    f"""
INSERT INTO bucket (account_id, flow_id, grain, slot, success, ignored, errors, rolled_back, resolved, auto_resolved,
  busy_ms, runs, run_ms, run_success, run_ignored, run_errors) SELECT account_id, flow_id, {grain},
  floor(extract(epoch FROM started_at) / {60 * grain})::int AS slot, sum(success), 0,
  sum(errors + unit_errors), 0, 0, 0, 1000 * count(*), count(*) FILTER (WHERE kind = 'flow'),
  coalesce(sum(1000 * extract(epoch FROM ended_at - started_at)) FILTER (WHERE kind = 'flow'), 0),
  coalesce(sum(success) FILTER (WHERE kind = 'flow'), 0), 0,
  coalesce(sum(errors + unit_errors) FILTER (WHERE kind = 'flow'), 0)
  FROM run WHERE started_at > now() - make_interval(days => {days}) GROUP BY account_id, flow_id, slot
"""
    for grain, days in ((1, 5), (30, 2 * DAYS), (360, 2 * DAYS))
)
