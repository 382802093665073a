"""Views that members saved."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_member_role"),
        ("errors", "0004_assignments"),
    ]

    operations = [
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
                    models.Index(
                        condition=models.Q(("is_shared", True)), fields=["account"], name="saved_views_shared"
                    ),
                ],
                "constraints": [models.UniqueConstraint(fields=("member", "name"), name="saved_views_by_name")],
            },
            managers=[
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
    ]
