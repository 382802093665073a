import django.core.serializers.json
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0002_member_role"),
        ("flows", "0001_initial"),
        ("runs", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="BulkAct",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "act",
                    models.CharField(
                        choices=[
                            ("retry", "Retry"),
                            ("resolve", "Resolve"),
                            ("reopen", "Reopen"),
                            ("assign", "Assign"),
                            ("tag", "Tag"),
                            ("cancel", "Cancel retry"),
                            ("delete", "Delete"),
                            ("edit", "Edit retry data"),
                            ("classify", "Change class"),
                            ("sent", "Mark as sent"),
                            ("upload", "Upload retry data"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "filter",
                    models.JSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder),
                ),
                (
                    "options",
                    models.JSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder),
                ),
                ("count", models.IntegerField(default=0)),
                ("done", models.IntegerField(default=0)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now, editable=False)),
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
                    "member",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
            ],
            options={
                "db_table": "bulk_act",
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Cause",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.PositiveSmallIntegerField(default=1)),
                ("fingerprint", models.CharField(max_length=64)),
                ("source", models.CharField(max_length=32)),
                ("code", models.CharField(blank=True, max_length=128)),
                ("pattern", models.TextField()),
                (
                    "classification",
                    models.CharField(
                        choices=[
                            ("connection", "Connection"),
                            ("intermittent", "Intermittent"),
                            ("rate_limit", "Rate limit"),
                            ("too_large", "Too large"),
                            ("duplicate", "Duplicate"),
                            ("missing", "Missing"),
                            ("parse", "Parse"),
                            ("value", "Value"),
                            ("none", "None"),
                        ],
                        default="none",
                        max_length=16,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("new", "New"),
                            ("ongoing", "Ongoing"),
                            ("regressed", "Regressed"),
                            ("snoozed", "Snoozed"),
                        ],
                        default="new",
                        max_length=10,
                    ),
                ),
                ("snoozed_until", models.DateTimeField(blank=True, null=True)),
                (
                    "snooze_until_count",
                    models.BigIntegerField(blank=True, help_text="Errors still to come.", null=True),
                ),
                ("open_errors", models.BigIntegerField(default=0)),
                ("total_errors", models.BigIntegerField(default=0)),
                ("first_seen_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("last_seen_at", models.DateTimeField(default=apps.core.clock.wall_now)),
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
                    "assignee",
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
                    "classified_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Blank: by rule.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                (
                    "flow",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.flow"
                    ),
                ),
                (
                    "merged_into",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="errors.cause",
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.step"
                    ),
                ),
                (
                    "class_by_rule",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("connection", "Connection"),
                            ("intermittent", "Intermittent"),
                            ("rate_limit", "Rate limit"),
                            ("too_large", "Too large"),
                            ("duplicate", "Duplicate"),
                            ("missing", "Missing"),
                            ("parse", "Parse"),
                            ("value", "Value"),
                            ("none", "None"),
                        ],
                        help_text="What a member's class replaced.",
                        max_length=16,
                    ),
                ),
            ],
            options={
                "verbose_name": "root cause",
                "db_table": "cause",
                "indexes": [
                    models.Index(
                        condition=models.Q(("open_errors__gt", 0)),
                        fields=["account", "-last_seen_at"],
                        name="causes_open_of_account",
                    ),
                    models.Index(fields=["step", "classification"], name="causes_by_class_of_step"),
                    models.Index(
                        condition=models.Q(("merged_into__isnull", False)), fields=["merged_into"], name="causes_merged"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("step", "version", "fingerprint"), name="causes_by_fingerprint")
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Error",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("page_seq", models.BigIntegerField(blank=True, null=True)),
                (
                    "unit",
                    models.CharField(
                        choices=[("record", "Record"), ("page", "Page"), ("run", "Run"), ("window", "Window")],
                        default="record",
                        max_length=6,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "Open"), ("resolved", "Resolved")], default="open", max_length=8
                    ),
                ),
                ("in_doubt", models.BooleanField(default=False)),
                ("retry_failed", models.BooleanField(default=False)),
                ("source_step_path", models.CharField(blank=True, max_length=255)),
                ("key", models.CharField(blank=True, max_length=128)),
                ("key_hash", models.BigIntegerField(blank=True, null=True)),
                ("payload_hash", models.BigIntegerField(blank=True, null=True)),
                ("collision_no", models.PositiveSmallIntegerField(default=0)),
                ("ordinal", models.BigIntegerField(blank=True, null=True)),
                ("pass_order", models.BigIntegerField(default=0)),
                ("message", models.TextField()),
                (
                    "effects",
                    models.JSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder),
                ),
                ("occurred_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(blank=True, null=True)),
                ("resolved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("manual", "Resolved by hand"),
                            ("superseded", "Superseded by a newer error"),
                            ("succeeded", "The record went through"),
                            ("ignored", "The record was ignored"),
                            ("retried", "Its retry went through"),
                            ("retry_failed", "Its retry ended in a new error"),
                            ("handled", "Handled by the step's policy"),
                            ("sent", "Marked as sent"),
                            ("rule", "Resolved by a rule"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "passed_outcome",
                    models.CharField(
                        blank=True,
                        choices=[("success", "Success"), ("ignored", "Ignored"), ("error", "Error")],
                        max_length=8,
                    ),
                ),
                ("passed_order", models.BigIntegerField(blank=True, null=True)),
                ("has_notes", models.BooleanField(default=False)),
                ("keep", models.BooleanField(default=False)),
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
                    "assignee",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                (
                    "capture",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="runs.capture",
                    ),
                ),
                (
                    "cause",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.cause",
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
                    "passed_run",
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
                    "previous_error",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
                    ),
                ),
                (
                    "resolved_by",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                (
                    "resolved_error",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
                    ),
                ),
                (
                    "resolved_run",
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
                    "retry_run",
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
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.step",
                    ),
                ),
            ],
            options={
                "db_table": "error",
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "open"), ("retry_run__isnull", True)),
                        fields=["step", "-id"],
                        name="errors_open_by_step",
                    ),
                    models.Index(
                        condition=models.Q(("state", "open"), ("retry_run__isnull", True)),
                        fields=["account", "-id"],
                        name="errors_inbox",
                    ),
                    models.Index(
                        condition=models.Q(("state", "resolved")),
                        fields=["step", "-resolved_at", "-id"],
                        name="errors_resolved_by_step",
                    ),
                    models.Index(fields=["cause", "-id"], name="errors_by_cause"),
                    models.Index(fields=["run", "step", "id"], name="errors_of_run"),
                    models.Index(
                        condition=models.Q(
                            ("key_hash__isnull", False),
                            models.Q(("state", "open"), ("passed_run__isnull", True), _connector="OR"),
                        ),
                        fields=["flow", "key_hash"],
                        name="errors_to_auto_resolve",
                    ),
                    models.Index(fields=["account", "key_hash", "id"], name="errors_journey"),
                    models.Index(
                        condition=models.Q(("next_attempt_at__isnull", False)),
                        fields=["next_attempt_at"],
                        name="errors_due",
                    ),
                    models.Index(
                        condition=models.Q(("retry_run__isnull", False)),
                        fields=["retry_run", "id"],
                        name="errors_under_retry",
                    ),
                    models.Index(
                        condition=models.Q(("state", "open"), ("assignee__isnull", False)),
                        fields=["assignee", "-id"],
                        name="errors_mine",
                    ),
                    models.Index(fields=["account", "occurred_at"], name="errors_to_purge"),
                    models.Index(
                        condition=models.Q(("state", "resolved")),
                        fields=["account", "-resolved_at", "-id"],
                        name="errors_resolved",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("state", "open"), ("retry_run__isnull", True), models.Q(("unit", "record"), _negated=True)
                        ),
                        fields=["account", "-id"],
                        name="errors_open_units",
                    ),
                    models.Index(
                        condition=models.Q(
                            ("next_attempt_at__isnull", False), ("retry_run__isnull", False), _connector="OR"
                        ),
                        fields=["cause"],
                        include=("account", "next_attempt_at", "attempts", "retry_run"),
                        name="errors_at_work",
                    ),
                    models.Index(condition=models.Q(("has_notes", True)), fields=["cause", "id"], name="errors_noted"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open"), ("key_hash__isnull", False)),
                        fields=("step", "key_hash", "collision_no"),
                        name="errors_one_open_per_key",
                    )
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Comment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.TextField()),
                ("at", models.DateTimeField(default=apps.core.clock.wall_now)),
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
                    "member",
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
                    "error",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
                    ),
                ),
                (
                    "cause",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="errors.cause",
                    ),
                ),
            ],
            options={
                "db_table": "comment",
                "indexes": [
                    models.Index(fields=["error", "id"], name="comments_of_error"),
                    models.Index(
                        condition=models.Q(("cause__isnull", False)), fields=["cause", "id"], name="comments_of_cause"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("error__isnull", True), ("cause__isnull", True), _connector="XOR"),
                        name="comments_on_one_thing",
                    )
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="BulkItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("result", models.CharField(blank=True, max_length=32)),
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
                    "act",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.bulkact",
                    ),
                ),
                (
                    "error",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
                    ),
                ),
            ],
            options={
                "db_table": "bulk_item",
                "constraints": [models.UniqueConstraint(fields=("act", "error"), name="bulk_items_one_per_error")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="RetryItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seq", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("done", "Done"),
                            ("skipped", "Skipped"),
                            ("canceled", "Canceled"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("outcome", models.CharField(blank=True, max_length=24)),
                ("version", models.IntegerField(default=1)),
                ("message", models.TextField(blank=True)),
                ("due_at", models.DateTimeField(blank=True, null=True)),
                ("at", models.DateTimeField(blank=True, null=True)),
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
                    "error",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                (
                    "new_error",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
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
                "db_table": "retry_item",
                "indexes": [
                    models.Index(fields=["error", "id"], name="retry_items_of_error"),
                    models.Index(
                        condition=models.Q(("state", "waiting")), fields=["run", "seq"], name="retry_items_waiting"
                    ),
                ],
                "constraints": [models.UniqueConstraint(fields=("run", "error"), name="retry_items_one_per_error")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="RetryVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("version", models.IntegerField()),
                ("record", models.BinaryField(blank=True, null=True)),
                ("at", models.DateTimeField(default=apps.core.clock.wall_now)),
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
                    "error",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
            ],
            options={
                "db_table": "retry_version",
                "constraints": [models.UniqueConstraint(fields=("error", "version"), name="retry_versions_by_number")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="StepState",
            fields=[
                (
                    "step",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="state",
                        serialize=False,
                        to="flows.step",
                    ),
                ),
                ("open_errors", models.BigIntegerField(default=0)),
                ("open_units", models.BigIntegerField(default=0)),
                ("in_doubt", models.BigIntegerField(default=0)),
                ("watched_keys", models.BigIntegerField(default=0)),
                ("last_error_at", models.DateTimeField(blank=True, null=True)),
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
                    "integration",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="flows.integration",
                    ),
                ),
            ],
            options={
                "db_table": "step_state",
                "indexes": [
                    models.Index(fields=["account"], name="step_states_of_account"),
                    models.Index(fields=["flow"], name="step_states_of_flow"),
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Tag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "db_table": "tag",
                "constraints": [models.UniqueConstraint(fields=("account", "name"), name="tags_by_name")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="ErrorTag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                    "error",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
                    ),
                ),
                (
                    "tag",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.tag",
                    ),
                ),
            ],
            options={
                "db_table": "error_tag",
                "indexes": [models.Index(fields=["tag", "-error"], name="error_tags_by_tag")],
                "constraints": [models.UniqueConstraint(fields=("error", "tag"), name="error_tags_one_each")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="CauseBucket",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slot", models.IntegerField()),
                ("errors", models.BigIntegerField(default=0)),
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
                    "cause",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.cause",
                    ),
                ),
            ],
            options={
                "db_table": "cause_bucket",
                "constraints": [models.UniqueConstraint(fields=("cause", "slot"), name="cause_buckets_one_per_slot")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="ErrorText",
            fields=[
                (
                    "error",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="errors.error",
                    ),
                ),
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
            ],
            options={
                "db_table": "error_text",
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="RetryData",
            fields=[
                (
                    "error",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="retry_data",
                        serialize=False,
                        to="errors.error",
                    ),
                ),
                ("record", models.BinaryField(blank=True, null=True)),
                (
                    "window",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                ("origin_ordinal", models.BigIntegerField(blank=True, null=True)),
                ("occurrence", models.IntegerField(default=0)),
                ("generation", models.IntegerField(default=0)),
                ("version", models.IntegerField(default=1)),
                ("purged_at", models.DateTimeField(blank=True, null=True)),
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
                    "from_step",
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
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="runs.page",
                    ),
                ),
                (
                    "root_run",
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
                "verbose_name_plural": "retry data",
                "db_table": "retry_data",
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Assignment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                    "error",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.error",
                    ),
                ),
                (
                    "cause",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.cause",
                    ),
                ),
                (
                    "assignee",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                (
                    "assigned_by",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                ("at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("mailed_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "assignment",
                "indexes": [
                    models.Index(
                        condition=models.Q(("mailed_at__isnull", True)),
                        fields=["assignee", "id"],
                        name="assignments_to_mail",
                    ),
                    models.Index(
                        condition=models.Q(("error__isnull", False)), fields=["error"], name="assignments_of_error"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("error__isnull", True), ("cause__isnull", True), _connector="XOR"),
                        name="assignments_of_one_thing",
                    )
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                    "member",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                ("query", models.TextField()),
                ("is_shared", models.BooleanField(default=False)),
            ],
            options={
                "db_table": "saved_view",
                "indexes": [
                    models.Index(condition=models.Q(("is_shared", True)), fields=["account"], name="saved_views_shared")
                ],
                "constraints": [models.UniqueConstraint(fields=("member", "name"), name="saved_views_by_name")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                    "member",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("content", models.BinaryField()),
                (
                    "act",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="errors.bulkact",
                    ),
                ),
                ("at", models.DateTimeField(default=apps.core.clock.wall_now)),
            ],
            options={
                "db_table": "upload",
                "indexes": [models.Index(fields=["account", "at"], name="uploads_by_age")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.AddField(
            model_name="cause",
            name="sample_error",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="errors.error",
            ),
        ),
    ]
