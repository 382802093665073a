import django.core.serializers.json
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.manager
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0006_people_and_sign_in"),
        ("errors", "0004_next_attempt_of_a_cause"),
        ("flows", "0005_flow_auto_retry"),
    ]

    operations = [
        migrations.CreateModel(
            name="Channel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=120)),
                (
                    "kind",
                    models.CharField(choices=[("webhook", "Webhook"), ("slack", "Slack-compatible")], max_length=8),
                ),
                ("host", models.CharField(editable=False, max_length=255)),
                ("sealed", models.BinaryField()),
                ("key_id", models.CharField(editable=False, max_length=16)),
                ("enabled", models.BooleanField(default=True)),
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
                "db_table": "channel",
                "constraints": [models.UniqueConstraint(fields=("account", "name"), name="channels_by_name")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="DigestWindow",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "environment",
                    models.CharField(choices=[("production", "Production"), ("sandbox", "Sandbox")], max_length=10),
                ),
                ("number", models.IntegerField(default=0)),
                ("told_from", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("next_at", models.DateTimeField()),
                ("hinted_until", models.DateTimeField(blank=True, null=True)),
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
                "db_table": "digest_window",
                "indexes": [models.Index(fields=["next_at"], name="digest_windows_due")],
                "constraints": [models.UniqueConstraint(fields=("account", "environment"), name="digest_windows_once")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="HeldDigest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "environment",
                    models.CharField(choices=[("production", "Production"), ("sandbox", "Sandbox")], max_length=10),
                ),
                ("window", models.IntegerField()),
                ("since", models.DateTimeField()),
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
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.member"
                    ),
                ),
            ],
            options={
                "db_table": "held_digest",
                "constraints": [models.UniqueConstraint(fields=("member", "environment"), name="held_digests_once")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("digest", "Digest of errors"),
                            ("run_failed", "Run failed"),
                            ("connection_offline", "Connection offline"),
                            ("connection_online", "Connection online"),
                            ("threshold", "Threshold passed"),
                            ("test", "Test"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "environment",
                    models.CharField(choices=[("production", "Production"), ("sandbox", "Sandbox")], max_length=10),
                ),
                ("facts", models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now)),
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
                "db_table": "message",
                "indexes": [models.Index(fields=["created_at"], name="messages_oldest")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="MessageDelivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.CharField(blank=True, max_length=254)),
                ("own", models.JSONField(blank=True, default=dict, help_text="What only this taker is told.")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("sent", "Sent"),
                            ("failed", "Given up"),
                            ("dropped", "Dropped"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("next_at", models.DateTimeField(blank=True, null=True)),
                ("is_sending", models.BooleanField(default=False)),
                ("in_doubt", models.BooleanField(default=False)),
                ("last_error", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.wall_now)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
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
                    "channel",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="notifications.channel",
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
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="deliveries",
                        to="notifications.message",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "message deliveries",
                "db_table": "message_delivery",
                "indexes": [
                    models.Index(
                        condition=models.Q(("status", "waiting")), fields=["next_at"], name="message_deliveries_due"
                    ),
                    models.Index(fields=["account", "-id"], name="message_deliveries_newest"),
                    models.Index(
                        condition=models.Q(("member__isnull", False)),
                        fields=["member", "-id"],
                        name="message_deliveries_member",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("member__isnull", False)),
                        fields=("message", "member"),
                        name="message_deliveries_once_by_mail",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("channel__isnull", False)),
                        fields=("message", "channel"),
                        name="message_deliveries_once_by_channel",
                    ),
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                (
                    "error",
                    models.OneToOneField(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="notice",
                        serialize=False,
                        to="errors.error",
                    ),
                ),
                (
                    "environment",
                    models.CharField(choices=[("production", "Production"), ("sandbox", "Sandbox")], max_length=10),
                ),
                ("new_window", models.IntegerField(blank=True, null=True)),
                ("resolved_window", models.IntegerField(blank=True, null=True)),
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
                "db_table": "notice",
                "indexes": [
                    models.Index(
                        condition=models.Q(("new_window", None)),
                        fields=["account", "environment"],
                        name="notices_waiting",
                    ),
                    models.Index(fields=["account", "environment", "new_window"], name="notices_new"),
                    models.Index(
                        condition=models.Q(("resolved_window__isnull", False)),
                        fields=["account", "environment", "resolved_window"],
                        name="notices_resolved",
                    ),
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Preference",
            fields=[
                (
                    "member",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="mail_preference",
                        serialize=False,
                        to="accounts.member",
                    ),
                ),
                ("quiet_from", models.TimeField(blank=True, null=True)),
                ("quiet_to", models.TimeField(blank=True, null=True)),
                ("daily_at", models.TimeField(blank=True, null=True)),
                ("assigned", models.BooleanField(default=True, help_text="Errors that others give him.")),
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
                "db_table": "mail_preference",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("quiet_from__isnull", True), ("quiet_to__isnull", True)),
                            models.Q(("quiet_from__isnull", False), ("quiet_to__isnull", False)),
                            _connector="OR",
                        ),
                        name="quiet_hours_have_two_ends",
                    )
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="Subscription",
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
                ("errors", models.BooleanField(default=True, verbose_name="digest of errors")),
                ("connections", models.BooleanField(default=False, verbose_name="connection offline and online")),
                ("failed_runs", models.BooleanField(default=False, verbose_name="run failed")),
                (
                    "more_new",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="In one window.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="more new errors than",
                    ),
                ),
                (
                    "more_open",
                    models.PositiveIntegerField(
                        blank=True,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="more open errors than",
                    ),
                ),
                (
                    "is_over",
                    models.BooleanField(
                        default=False, editable=False, help_text="More are open than that; it was told."
                    ),
                ),
                ("since_window", models.IntegerField(default=0, editable=False)),
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
                    "channel",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="notifications.channel",
                    ),
                ),
                (
                    "created_by",
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
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="flows.flow",
                    ),
                ),
                (
                    "integration",
                    models.ForeignKey(
                        blank=True,
                        help_text="Blank, and no flow: the whole account.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="flows.integration",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.member",
                    ),
                ),
            ],
            options={
                "db_table": "subscription",
                "indexes": [models.Index(fields=["account", "environment"], name="subscriptions_of_account")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("member__isnull", True), ("channel__isnull", True), _connector="XOR"),
                        name="subscriptions_of_one_taker",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("integration__isnull", True), ("flow__isnull", True), _connector="OR"),
                        name="subscriptions_of_one_scope",
                    ),
                    models.UniqueConstraint(
                        django.db.models.functions.comparison.Coalesce("member", 0),
                        django.db.models.functions.comparison.Coalesce("channel", 0),
                        models.F("environment"),
                        django.db.models.functions.comparison.Coalesce("integration", 0),
                        django.db.models.functions.comparison.Coalesce("flow", 0),
                        models.F("account"),
                        name="subscriptions_once",
                    ),
                ],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
    ]
