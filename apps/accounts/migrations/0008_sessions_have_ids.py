import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Whoever is signed in signs in again."""

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("accounts", "0007_kept_answer_headers"),
    ]

    operations = [
        migrations.DeleteModel(name="UserSession"),
        migrations.CreateModel(
            name="UserSession",
            fields=[
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("session_key", models.CharField(editable=False, max_length=40)),
                ("session_data", models.TextField(editable=False)),
                ("signed_in_at", models.DateTimeField(null=True)),
                ("seen_at", models.DateTimeField(null=True)),
                ("address", models.CharField(blank=True, max_length=45)),
                ("agent", models.CharField(blank=True, max_length=300)),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "user_session",
                "verbose_name": "session",
                "constraints": [models.UniqueConstraint(fields=("session_key",), name="user_sessions_by_key")],
            },
        ),
    ]
