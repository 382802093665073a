from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_member_role"),
        ("errors", "0008_upload"),
        ("flows", "0007_revision_callees"),
        ("runs", "0005_retry_options"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="error",
            index=models.Index(
                condition=models.Q(("state", "resolved")),
                fields=["account", "-resolved_at", "-id"],
                name="errors_resolved",
            ),
        ),
        migrations.AddIndex(
            model_name="error",
            index=models.Index(
                condition=models.Q(
                    ("state", "open"), ("retry_run__isnull", True), models.Q(("unit", "record"), _negated=True)
                ),
                fields=["account", "-id"],
                name="errors_open_units",
            ),
        ),
    ]
