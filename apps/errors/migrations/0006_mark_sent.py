"""Errors in doubt can be marked as sent, and retry data uploaded, by acts of their own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("errors", "0005_saved_views"),
    ]

    operations = [
        migrations.AlterField(
            model_name="bulkact",
            name="act",
            field=models.CharField(
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
    ]
