import django.core.serializers.json
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0006_people_and_sign_in"),
        ("flows", "0005_flow_auto_retry"),
    ]

    operations = [
        migrations.CreateModel(
            name="PurgedSums",
            fields=[
                (
                    "flow",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="flows.flow",
                    ),
                ),
                ("success", models.BigIntegerField(default=0)),
                ("ignored", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                ("runs", models.BigIntegerField(default=0)),
                ("run_ms", models.BigIntegerField(default=0)),
                ("run_success", models.BigIntegerField(default=0)),
                ("run_ignored", models.BigIntegerField(default=0)),
                ("run_errors", models.BigIntegerField(default=0)),
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
                "verbose_name_plural": "purged sums",
                "db_table": "purged_sums",
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="PurgeExport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.JSONField(blank=True, default=dict, help_text="Where the next batch begins.")),
                ("fence", models.IntegerField(default=0)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("hinted_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "format",
                    models.CharField(choices=[("csv", "CSV"), ("jsonl", "JSON Lines")], default="csv", max_length=5),
                ),
                ("before", models.DateTimeField()),
                ("errors", models.BigIntegerField(default=0)),
                ("size", models.BigIntegerField(default=0, help_text="Bytes of the file.")),
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
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
            ],
            options={
                "db_table": "purge_export",
                "indexes": [
                    models.Index(fields=["account", "-id"], name="purge_exports_newest"),
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)), fields=["id"], name="purge_exports_not_ended"
                    ),
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="ExportPart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seq", models.IntegerField()),
                ("content", models.BinaryField()),
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
                    "export",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="retention.purgeexport",
                    ),
                ),
            ],
            options={
                "db_table": "export_part",
                "constraints": [models.UniqueConstraint(fields=("export", "seq"), name="export_parts_in_order")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="PurgePlan",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="purge_plan",
                        serialize=False,
                        to="accounts.account",
                    ),
                ),
                ("due_at", models.DateTimeField(blank=True, help_text="Blank: nothing is left to purge.", null=True)),
                (
                    "ahead",
                    models.JSONField(blank=True, default=list, encoder=django.core.serializers.json.DjangoJSONEncoder),
                ),
                ("counted_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "purge_plan",
                "indexes": [models.Index(fields=["due_at"], name="purge_plans_due")],
            },
        ),
        migrations.CreateModel(
            name="Purge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.JSONField(blank=True, default=dict, help_text="Where the next batch begins.")),
                ("fence", models.IntegerField(default=0)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("hinted_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("retention", "Older than the retention"), ("closing", "All of a closed account")],
                        default="retention",
                        max_length=9,
                    ),
                ),
                (
                    "days",
                    models.PositiveSmallIntegerField(default=0, help_text="The retention that it was begun with."),
                ),
                ("before", models.DateTimeField()),
                ("stage", models.CharField(blank=True, help_text="What it is at.", max_length=16)),
                ("counts", models.JSONField(blank=True, default=dict)),
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
                "db_table": "purge",
                "indexes": [
                    models.Index(fields=["account", "-id"], name="purges_newest_of_account"),
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)), fields=["id"], name="purges_not_ended"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)), fields=("account",), name="purges_one_at_a_time"
                    )
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
    ]
