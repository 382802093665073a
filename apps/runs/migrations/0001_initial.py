import django.core.serializers.json
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
        ("flows", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Run",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("lease_owner", models.CharField(blank=True, max_length=80)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("fence", models.BigIntegerField(default=0)),
                ("deliveries", models.IntegerField(default=0)),
                (
                    "environment",
                    models.CharField(choices=[("production", "Production"), ("sandbox", "Sandbox")], max_length=10),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("flow", "Flow"), ("retry", "Retry"), ("auto_retry", "Auto-retry"), ("test", "Test")],
                        default="flow",
                        max_length=10,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("retrying", "Retrying"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                            ("canceled", "Canceled"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("completed", "Completed"),
                            ("completed_with_errors", "Completed with errors"),
                            ("failed", "Failed"),
                            ("canceled", "Canceled"),
                            ("empty", "Empty"),
                        ],
                        max_length=24,
                    ),
                ),
                ("attempt", models.PositiveSmallIntegerField(default=1)),
                ("batch", models.BigIntegerField(blank=True, null=True)),
                (
                    "trigger",
                    models.CharField(
                        choices=[
                            ("manual", "By hand"),
                            ("schedule", "Schedule"),
                            ("webhook", "Webhook"),
                            ("flow", "Another flow"),
                            ("api", "API"),
                            ("command", "Command line"),
                            ("auto", "Flowmend"),
                        ],
                        default="manual",
                        max_length=10,
                    ),
                ),
                (
                    "parameters",
                    models.JSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder),
                ),
                ("window_from", models.DateTimeField(blank=True, null=True)),
                ("window_to", models.DateTimeField(blank=True, null=True)),
                ("scheduled_for", models.DateTimeField(blank=True, null=True)),
                ("pass_no", models.BigIntegerField(blank=True, null=True)),
                (
                    "position",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                ("done_exporting", models.BooleanField(default=False)),
                ("records_in", models.BigIntegerField(default=0)),
                ("success", models.BigIntegerField(default=0)),
                ("ignored", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("rolled_back", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("unit_errors", models.BigIntegerField(default=0)),
                ("pages_fetched", models.BigIntegerField(default=0)),
                ("pages_done", models.BigIntegerField(default=0)),
                ("wait_reason", models.CharField(blank=True, max_length=255)),
                ("not_before", models.DateTimeField(blank=True, null=True)),
                ("hinted_at", models.DateTimeField(blank=True, null=True)),
                ("cancel_requested_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now, editable=False)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("change_no", models.BigIntegerField(default=0)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "canceled_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                (
                    "flow",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="runs",
                        to="flows.flow",
                    ),
                ),
                (
                    "integration",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="flows.integration",
                    ),
                ),
                (
                    "revision",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="flows.revision",
                    ),
                ),
                (
                    "root_run",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="runs.run",
                    ),
                ),
                (
                    "start_step",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="flows.step",
                    ),
                ),
                (
                    "started_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=1)),
                (
                    "rerun_canceled",
                    models.CharField(blank=True, help_text="Why it is not run again after all.", max_length=255),
                ),
                ("unique_id", models.CharField(blank=True, max_length=128)),
                (
                    "includes_rest",
                    models.BooleanField(
                        default=False,
                        help_text="A retry that also does the steps that went on when its records failed.",
                    ),
                ),
                (
                    "is_forced",
                    models.BooleanField(
                        default=False,
                        help_text="A retry that sends records although a newer pass of theirs went through.",
                    ),
                ),
            ],
            options={
                "db_table": "run",
                "indexes": [
                    models.Index(
                        condition=models.Q(("status", "queued")), fields=["not_before"], name="runs_queued_due"
                    ),
                    models.Index(
                        condition=models.Q(("status", "running")), fields=["lease_until"], name="runs_lease_running"
                    ),
                    models.Index(fields=["flow", "-id"], name="runs_newest_of_flow"),
                    models.Index(
                        condition=models.Q(("outcome", "empty"), _negated=True),
                        fields=["flow", "-id"],
                        name="runs_not_empty_of_flow",
                    ),
                    models.Index(
                        condition=models.Q(("status", "queued"), ("status", "running"), _connector="OR"),
                        fields=["account", "-id"],
                        name="runs_active_of_account",
                    ),
                    models.Index(fields=["flow", "status", "-id"], name="runs_by_status_of_flow"),
                    models.Index(fields=["account", "created_at", "id"], name="runs_by_time_of_account"),
                    models.Index(fields=["batch"], name="runs_of_batch"),
                    models.Index(
                        condition=models.Q(("status", "retrying")),
                        fields=["account", "not_before"],
                        name="runs_to_be_run_again",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("scheduled_for__isnull", False), ("start_step__isnull", True)),
                        fields=("flow", "kind", "scheduled_for"),
                        name="runs_one_per_schedule",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("scheduled_for__isnull", False), ("start_step__isnull", False)),
                        fields=("flow", "kind", "start_step", "scheduled_for"),
                        name="runs_one_per_due_slot",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "flow")),
                        fields=("root_run", "attempt"),
                        name="runs_one_per_attempt",
                    ),
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Page",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("lease_owner", models.CharField(blank=True, max_length=80)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("fence", models.BigIntegerField(default=0)),
                ("deliveries", models.IntegerField(default=0)),
                ("seq", models.BigIntegerField()),
                ("part", models.IntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("fetched", "Waiting"),
                            ("delivering", "In work"),
                            ("parked", "Parked"),
                            ("done", "Done"),
                        ],
                        default="fetched",
                        max_length=10,
                    ),
                ),
                ("records", models.IntegerField(default=0)),
                ("ordinal_from", models.BigIntegerField(default=0)),
                ("payload", models.BinaryField(blank=True, null=True)),
                (
                    "source_ref",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                (
                    "position_after",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                (
                    "checkpoint_after",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                ("now_at", models.DateTimeField()),
                ("attempt", models.PositiveSmallIntegerField(default=1)),
                ("not_before", models.DateTimeField(blank=True, null=True)),
                ("error_rows", models.IntegerField(default=0)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "start_step",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.step",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="pages",
                        to="runs.run",
                    ),
                ),
            ],
            options={
                "db_table": "page",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "done"), _negated=True),
                        fields=["run", "seq", "part"],
                        name="pages_not_done",
                    ),
                    models.Index(
                        condition=models.Q(("state", "delivering")),
                        fields=["lease_until"],
                        name="pages_lease_delivering",
                    ),
                    models.Index(
                        condition=models.Q(("state", "parked")), fields=["not_before"], name="pages_parked_due"
                    ),
                ],
                "constraints": [models.UniqueConstraint(fields=("run", "seq", "part"), name="pages_one_per_part")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="FlowState",
            fields=[
                (
                    "flow",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="state",
                        serialize=False,
                        to="flows.flow",
                    ),
                ),
                ("last_status", models.CharField(blank=True, max_length=24)),
                ("last_started_at", models.DateTimeField(blank=True, null=True)),
                ("last_ended_at", models.DateTimeField(blank=True, null=True)),
                ("last_runs", models.CharField(blank=True, max_length=12)),
                ("running", models.IntegerField(default=0)),
                ("queued", models.IntegerField(default=0)),
                ("delivery_owner", models.CharField(blank=True, max_length=80)),
                ("delivery_until", models.DateTimeField(blank=True, null=True)),
                ("changed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "last_run",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="runs.run",
                    ),
                ),
            ],
            options={
                "db_table": "flow_state",
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Capture",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sent_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("ms", models.IntegerField(default=0)),
                ("method", models.CharField(blank=True, max_length=16)),
                ("status", models.CharField(blank=True, max_length=16)),
                (
                    "request",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                (
                    "response",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.step",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="runs.run",
                    ),
                ),
            ],
            options={
                "db_table": "capture",
                "indexes": [models.Index(fields=["run", "id"], name="captures_of_run")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="RunLog",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(default=apps.core.clock.wall_now)),
                (
                    "level",
                    models.PositiveSmallIntegerField(
                        choices=[(10, "Debug"), (20, "Info"), (30, "Warning"), (40, "Error")], default=20
                    ),
                ),
                ("page_seq", models.BigIntegerField(blank=True, null=True)),
                ("text", models.TextField()),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="runs.run",
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.step",
                    ),
                ),
            ],
            options={
                "db_table": "run_log",
                "indexes": [models.Index(fields=["run", "id"], name="run_logs_of_run")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="StepRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("came_in", models.BigIntegerField(default=0)),
                ("success", models.BigIntegerField(default=0)),
                ("ignored", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("rolled_back", models.BigIntegerField(default=0)),
                ("unit_errors", models.BigIntegerField(default=0)),
                ("busy_ms", models.BigIntegerField(default=0)),
                ("pages", models.BigIntegerField(default=0)),
                ("empty_fields", models.JSONField(blank=True, default=dict)),
                ("open_errors", models.BigIntegerField(default=0)),
                ("auto_resolved", models.BigIntegerField(default=0)),
                ("user_resolved", models.BigIntegerField(default=0)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="step_runs",
                        to="runs.run",
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.step",
                    ),
                ),
                (
                    "collisions",
                    models.BigIntegerField(
                        default=0, help_text="Records that share their trace key with another record of the run."
                    ),
                ),
            ],
            options={
                "db_table": "step_run",
                "constraints": [models.UniqueConstraint(fields=("run", "step"), name="step_runs_one_per_step")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Bucket",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("grain", models.PositiveSmallIntegerField(choices=[(1, "Minute"), (30, "Half hour")])),
                ("slot", models.IntegerField()),
                ("success", models.BigIntegerField(default=0)),
                ("ignored", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("rolled_back", models.BigIntegerField(default=0)),
                ("resolved", models.BigIntegerField(default=0)),
                ("auto_resolved", models.BigIntegerField(default=0)),
                ("busy_ms", models.BigIntegerField(default=0)),
                ("runs", models.IntegerField(default=0)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "flow",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.flow",
                    ),
                ),
            ],
            options={
                "db_table": "bucket",
                "constraints": [models.UniqueConstraint(fields=("flow", "grain", "slot"), name="buckets_one_per_slot")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Intent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ordinal", models.BigIntegerField()),
                ("generation", models.IntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[("sending", "Sending"), ("done", "Done")], default="sending", max_length=8
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.step",
                    ),
                ),
                (
                    "page",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="runs.page",
                    ),
                ),
            ],
            options={
                "db_table": "intent",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("page", "step", "ordinal", "generation"), name="intents_one_per_send"
                    )
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Machine",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                ("workers", models.PositiveSmallIntegerField(default=0)),
                ("seen_at", models.DateTimeField(default=apps.core.clock.wall_now)),
            ],
            options={
                "db_table": "machine",
                "constraints": [models.UniqueConstraint(fields=("name",), name="machines_by_name")],
            },
        ),
        migrations.CreateModel(
            name="Arrival",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("received_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("records", models.IntegerField()),
                ("given", models.IntegerField(default=0)),
                ("size", models.IntegerField(help_text="Bytes of the body as it was received.")),
                ("headers", models.JSONField(blank=True, default=dict)),
                ("body", models.BinaryField()),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "flow",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.flow",
                    ),
                ),
                (
                    "hook",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.hook",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="runs.run",
                    ),
                ),
            ],
            options={
                "db_table": "arrival",
                "indexes": [models.Index(fields=["hook", "run", "id"], name="arrivals_of_hook")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=64)),
                ("arrival", models.BigIntegerField()),
                ("records", models.IntegerField()),
                ("received_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "hook",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.hook",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "db_table": "delivery",
                "indexes": [models.Index(fields=["hook", "received_at"], name="deliveries_by_age")],
                "constraints": [models.UniqueConstraint(fields=("hook", "digest"), name="deliveries_once_per_hook")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="TestRun",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.IntegerField(default=0)),
                ("text", models.TextField()),
                ("size", models.IntegerField(default=20)),
                ("records", models.BinaryField(blank=True, null=True)),
                ("cause", models.BigIntegerField(blank=True, null=True)),
                (
                    "errors",
                    models.JSONField(blank=True, default=list, encoder=django.core.serializers.json.DjangoJSONEncoder),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("stage", models.CharField(blank=True, help_text="What it is doing now.", max_length=255)),
                ("problem", models.TextField(blank=True, help_text="Why there is no whole report.")),
                ("report", models.BinaryField(blank=True, null=True)),
                ("change_no", models.IntegerField(default=0)),
                ("fence", models.IntegerField(default=0)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("hinted_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "flow",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.flow"
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
            ],
            options={
                "db_table": "test_run",
                "indexes": [
                    models.Index(fields=["account", "flow", "-id"], name="test_runs_of_flow"),
                    models.Index(fields=["created_at"], name="test_runs_by_age"),
                    models.Index(
                        condition=models.Q(("status__in", ["queued", "running"])),
                        fields=["id"],
                        name="test_runs_under_way",
                    ),
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
    ]
