"""A revision keeps those of the flows that it calls, so that a run works by all of them as they were."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0006_ledger"),
    ]

    operations = [
        migrations.AddField(
            model_name="revision",
            name="callees",
            field=models.JSONField(
                blank=True, default=dict, help_text="Flow key -> revision of each flow that it calls."
            ),
        ),
    ]
