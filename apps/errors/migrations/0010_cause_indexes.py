from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_member_role"),
        ("errors", "0009_list_indexes"),
        ("flows", "0007_revision_callees"),
        ("runs", "0005_retry_options"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="error",
            index=models.Index(
                condition=models.Q(("next_attempt_at__isnull", False), ("retry_run__isnull", False), _connector="OR"),
                fields=["cause"],
                include=("account", "next_attempt_at", "attempts", "retry_run"),
                name="errors_at_work",
            ),
        ),
        migrations.AddIndex(
            model_name="error",
            index=models.Index(condition=models.Q(("has_notes", True)), fields=["cause", "id"], name="errors_noted"),
        ),
    ]
