import django.core.serializers.json
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Connection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "environment",
                    models.CharField(
                        choices=[("production", "Production"), ("sandbox", "Sandbox")],
                        default="production",
                        max_length=10,
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("kind", models.CharField(max_length=32)),
                (
                    "config",
                    models.JSONField(blank=True, default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder),
                ),
                ("secrets", models.BinaryField(blank=True, null=True)),
                ("secrets_key_id", models.CharField(blank=True, editable=False, max_length=16)),
                (
                    "state",
                    models.CharField(
                        choices=[("never", "Never used"), ("online", "Online"), ("offline", "Offline")],
                        default="never",
                        max_length=8,
                    ),
                ),
                ("last_error", models.TextField(blank=True)),
                ("offline_since", models.DateTimeField(blank=True, null=True)),
                ("failures", models.IntegerField(default=0)),
                ("probe_at", models.DateTimeField(blank=True, null=True)),
                ("gate_until", models.DateTimeField(blank=True, null=True)),
                ("max_concurrency", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("max_rate", models.FloatField(blank=True, help_text="Requests a second; blank: no limit.", null=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now, editable=False)),
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
                    "offline_after",
                    models.PositiveSmallIntegerField(default=3, help_text="Failures in a row that take it offline."),
                ),
            ],
            options={
                "db_table": "connection",
                "constraints": [
                    models.UniqueConstraint(fields=("account", "environment", "name"), name="connections_by_name")
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Integration",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "environment",
                    models.CharField(
                        choices=[("production", "Production"), ("sandbox", "Sandbox")],
                        default="production",
                        max_length=10,
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("slug", models.SlugField(db_index=False, max_length=120)),
                ("description", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now, editable=False)),
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
                "db_table": "integration",
                "constraints": [models.UniqueConstraint(fields=("account", "slug"), name="integrations_by_slug")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Flow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=64)),
                ("name", models.CharField(max_length=120)),
                ("description", models.TextField(blank=True)),
                ("enabled", models.BooleanField(default=False)),
                ("auto_resolve", models.BooleanField(default=True)),
                ("auto_resolve_since", models.DateTimeField(blank=True, null=True)),
                (
                    "overlap",
                    models.CharField(
                        choices=[
                            ("skip", "Skip the new run"),
                            ("queue", "Queue the new run"),
                            ("allow", "Run side by side"),
                        ],
                        default="queue",
                        max_length=8,
                    ),
                ),
                ("cron", models.CharField(blank=True, max_length=120)),
                ("time_zone", models.CharField(blank=True, max_length=64)),
                ("next_due_at", models.DateTimeField(blank=True, null=True)),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("none", "Each statement"),
                            ("record", "Each record"),
                            ("page", "Each page"),
                            ("run", "The whole run"),
                        ],
                        default="none",
                        max_length=8,
                    ),
                ),
                ("page_size", models.PositiveIntegerField(default=1000)),
                ("parallel_pages", models.PositiveSmallIntegerField(default=1)),
                ("pass_no", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now, editable=False)),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
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
                    "run_after",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="followers",
                        to="flows.flow",
                    ),
                ),
                (
                    "integration",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="flows", to="flows.integration"
                    ),
                ),
            ],
            options={
                "db_table": "flow",
                "indexes": [
                    models.Index(condition=models.Q(("enabled", True)), fields=["next_due_at"], name="flows_due")
                ],
                "constraints": [models.UniqueConstraint(fields=("account", "key"), name="flows_by_key")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Revision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("definition", models.TextField()),
                ("sha256", models.CharField(max_length=64)),
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
                    "flow",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="revisions",
                        to="flows.flow",
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
                    "callees",
                    models.JSONField(
                        blank=True, default=dict, help_text="Flow key -> revision of each flow that it calls."
                    ),
                ),
            ],
            options={
                "db_table": "revision",
                "constraints": [models.UniqueConstraint(fields=("flow", "number"), name="revisions_by_number")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Step",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=64)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("export", "Export"),
                            ("lookup", "Lookup"),
                            ("map", "Map"),
                            ("filter", "Filter"),
                            ("branch", "Branch"),
                            ("import", "Import"),
                            ("call", "Call"),
                            ("log", "Log"),
                        ],
                        max_length=8,
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("path", models.CharField(blank=True, max_length=255)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
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
                    "connection",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="flows.connection",
                    ),
                ),
                (
                    "flow",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="flows.flow",
                    ),
                ),
            ],
            options={
                "db_table": "step",
                "constraints": [models.UniqueConstraint(fields=("flow", "key"), name="steps_by_key")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "value",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                ("seen", models.BinaryField(blank=True, null=True)),
                ("moved_at", models.DateTimeField(blank=True, null=True)),
                ("version", models.BigIntegerField(default=0)),
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
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checkpoints",
                        to="flows.flow",
                    ),
                ),
                (
                    "step",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.step"
                    ),
                ),
            ],
            options={
                "db_table": "checkpoint",
                "constraints": [models.UniqueConstraint(fields=("flow", "step"), name="checkpoints_one_per_step")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Hook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key_sha256", models.CharField(editable=False, max_length=64)),
                ("key_sealed", models.BinaryField()),
                ("key_id", models.CharField(editable=False, max_length=16)),
                ("waiting", models.BigIntegerField(default=0)),
                ("waiting_bytes", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now, editable=False)),
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
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="hooks",
                        to="flows.flow",
                    ),
                ),
                (
                    "step",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="hook", to="flows.step"
                    ),
                ),
            ],
            options={
                "db_table": "hook",
                "constraints": [models.UniqueConstraint(fields=("key_sha256",), name="hooks_by_key")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Share",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=128)),
                ("gate", models.FloatField(default=0)),
                ("booked", models.FloatField(default=0)),
                ("token", models.BinaryField(blank=True, null=True)),
                ("token_key_id", models.CharField(blank=True, editable=False, max_length=16)),
                ("renewing_until", models.FloatField(blank=True, null=True)),
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
                "db_table": "share",
                "constraints": [models.UniqueConstraint(fields=("account", "key"), name="shares_by_key")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Ledger",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("due_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("trimmed_at", models.DateTimeField(blank=True, null=True)),
                ("rows", models.BigIntegerField(blank=True, null=True)),
                ("oldest_at", models.DateTimeField(blank=True, null=True)),
                ("removed", models.BigIntegerField(default=0)),
                ("problem", models.TextField(blank=True)),
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
                    "connection",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="ledger", to="flows.connection"
                    ),
                ),
            ],
            options={
                "db_table": "ledger",
                "indexes": [models.Index(fields=["due_at"], name="ledgers_due")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.AddField(
            model_name="flow",
            name="revision",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="flows.revision",
            ),
        ),
    ]
