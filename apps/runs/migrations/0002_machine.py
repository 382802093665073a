from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0001_initial"),
    ]

    operations = [
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
    ]
